"""The reference page of all settings, written from the settings' own models."""

from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cloudyard.foundation.settings import Settings

INTRODUCTION = """# Settings

Written by `cloudyard settings reference`; do not edit by hand.

A setting is an environment variable, or a line of `cloudyard.toml` in the working directory or in the data directory
(which wins over the one in the working directory). The environment wins over both; tables and lists are JSON there.
In the file, an area is a table:

```toml
profile = "development"

[server]
port = 8080
```
"""
HEAD = "| setting | environment | type | default | meaning |\n| --- | --- | --- | --- | --- |\n"
PREFIX = "CLOUDYARD_"


def settings_reference() -> str:
    """The page, as Markdown."""
    return "\n".join([INTRODUCTION, *_sections("", Settings)])


def _sections(path: str, model: type[BaseModel]) -> Iterator[str]:
    """A table of a model's own settings, then the sections of the areas in it."""
    areas = {name: _area(field) for name, field in model.model_fields.items()}
    title = f"`{path}`" if path else "General"
    about = f"{(model.__doc__ or '').strip()}\n\n" if path else ""
    rows = [_row(path, name, field) for name, field in model.model_fields.items() if not _plain(field)]
    yield f"## {title}\n\n{about}{HEAD}" + "\n".join(rows) + "\n"
    for name, area in areas.items():
        if area is not None:
            yield from _sections(_joined(path, name) + _key(model.model_fields[name]), area)


def _row(path: str, name: str, field: FieldInfo) -> str:
    in_collection = "<" in path
    variable = "" if in_collection else f"`{_variable(_joined(path, name))}`"
    cells = [f"`{name}`", variable, _type(field.annotation), _default(field), field.description or ""]
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _variable(path: str) -> str:
    return PREFIX + path.replace(".", "__").upper()


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _plain(field: FieldInfo) -> bool:
    """Whether the field is an area itself, not a collection of them."""
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _area(field: FieldInfo) -> type[BaseModel] | None:
    """The model whose settings the field holds, once or many times."""
    for candidate in _leaves(field.annotation):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _key(field: FieldInfo) -> str:
    """What stands for the members of a collection."""
    return "" if _plain(field) else ".<name>" if get_origin(field.annotation) is dict else ".<n>"


def _leaves(annotation: Any) -> Iterator[Any]:
    inner = get_args(annotation)
    if not inner:
        yield annotation
    for each in inner:
        yield from _leaves(each)


def _type(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin in (Union, UnionType):
        return " or ".join(_type(each) for each in inner if each is not NoneType)
    if origin is dict:
        return f"table of {_type(inner[1])}"
    if origin is list:
        return f"list of {_type(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{member.value}`" for member in annotation)
    return NAMES[annotation.__name__]


NAMES = {
    "str": "text",
    "int": "whole number",
    "float": "number",
    "Decimal": "number",
    "bool": "true or false",
    "Path": "path",
    "SecretStr": "secret",
    "PriceSettings": "price",
    "PackageSettings": "package",
    "ModelSettings": "model",
    "DeploymentSettings": "deployment",
    "SignInProviderSettings": "provider",
}


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list | dict):
        value = ", ".join(value)
    return f"`{value}`" if value not in (None, "", {}) else ""
