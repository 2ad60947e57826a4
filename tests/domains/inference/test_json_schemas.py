"""Schemas that nothing can keep to are found before a model is asked."""

import pytest

from cloudyard.domains.inference.json_schemas import fault_of


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5, "maxLength": 2},
        {"type": "string", "maxLength": -1},
        {"type": "string", "minLength": 2**32 + 5, "maxLength": 2**32 + 2},
        {"type": "array", "minItems": 3, "maxItems": 0, "items": {}},
        {"type": "object", "minProperties": 1.5, "maxProperties": 1},
        {"type": "integer", "minimum": 10, "maximum": 2},
        {"type": "string", "pattern": "^a{5,2}$"},
        {"anyOf": [{"type": "null"}, {"properties": {"minLength": {"minLength": 3, "maxLength": 1}}}]},
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
        {"type": "number", "minimum": -1.5, "maximum": 0},
        {"type": "array", "minItems": 1},
        {"properties": {"minLength": {"type": "integer"}, "maxLength": {"type": "integer"}}},
        {"type": "string", "minLength": True, "maxLength": "2"},
    ],
)
def test_others_are_left_to_the_model(schema: object) -> None:
    assert fault_of(schema) is None


def test_the_place_is_told() -> None:
    schema = {"properties": {"name": {"anyOf": [{"type": "null"}, {"type": "string", "maxLength": -1}]}}}
    assert "#/properties/name/anyOf/1" in str(fault_of(schema))


def test_no_depth_is_too_deep() -> None:
    schema: dict[str, object] = {"maxLength": -1}
    for _ in range(5000):
        schema = {"items": schema}
    assert fault_of(schema)
