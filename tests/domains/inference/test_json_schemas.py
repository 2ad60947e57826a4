"""Schemas that nothing can keep to are found before a model is asked."""

from typing import Any

import pytest

from cloudyard.domains.inference.json_schemas import LONGEST_PLACE, MOST_PARTS, fault_of


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "string", "maxLength": -1},
        {"type": "string", "minLength": 2**32 + 5, "maxLength": 2**32 + 2},
        {"type": "string", "minLength": 2**31},
        {"type": "array", "minItems": 3, "maxItems": 0, "items": {}},
        {"type": "object", "minProperties": 1.5, "maxProperties": 1},
        {"type": "integer", "minimum": 10, "maximum": 2},
        {"type": "string", "pattern": "^a{5,2}$"},
        {"type": "string", "pattern": "^a{ 5,2}$"},
        {"type": "string", "pattern": "^a{+5x, +2}$"},
        {"anyOf": [{"type": "null"}, {"properties": {"minLength": {"minLength": 3, "maxLength": 1}}}]},
        {"properties": {"default": {"minLength": 3, "maxLength": 1}}},
        {"properties": {"properties": {"const": 1, "properties": {"enum": {"maxLength": -1}}}}},
    ],
)
def test_a_bound_that_nothing_can_keep_is_a_fault(schema: object) -> None:
    assert fault_of(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        {"type": "string", "minLength": 2, "maxLength": 2, "pattern": "^a{2,5}b{3}c{1,}$"},
        {"type": "string", "pattern": r"^\{5,2}[{5,2}][\]{5,2}]$"},
        {"type": "number", "minimum": -1.5, "maximum": 0},
        {"type": "array", "minItems": 1},
        {"properties": {"minLength": {"type": "integer"}, "maxLength": {"type": "integer"}}},
        {"properties": {"minLength": 5, "maxLength": 2}},
        {"type": "string", "minLength": True, "maxLength": "2"},
        {"const": {"minimum": 5, "maximum": 1}, "default": [{"minLength": 5, "maxLength": 1}]},
    ],
)
def test_others_are_left_to_the_model(schema: object) -> None:
    assert fault_of(schema) is None


def test_a_count_that_bounds_nothing_is_left_out() -> None:
    schema: dict[str, Any] = {"items": {"maxLength": 2**53 - 1, "minLength": 1}, "maxItems": 2**31 - 1}
    assert fault_of(schema) is None
    assert schema == {"items": {"minLength": 1}, "maxItems": 2**31 - 1}


def test_the_place_is_told() -> None:
    schema = {"properties": {"name": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": -1}]}}}
    assert "(at #/properties/name/anyOf/1)" in str(fault_of(schema))


@pytest.mark.parametrize("name", ["x" * 1000, "properties"])
def test_no_depth_is_too_deep_and_no_name_too_long(name: str) -> None:
    schema: dict[str, object] = {"maxLength": -1}
    for _ in range(5000):
        schema = {name: schema}
    told = str(fault_of(schema))
    assert "maxLength" in told and len(told) < 2 * LONGEST_PLACE


def test_a_schema_of_too_many_parts_is_refused_at_once() -> None:
    wide = {"A" * 100_000: [[] for _ in range(100 * MOST_PARTS)]}
    assert "more than 20000 parts" in str(fault_of(wide))
    assert fault_of({"enum": list(range(10 * MOST_PARTS))}) is None
