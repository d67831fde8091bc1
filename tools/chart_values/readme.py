"""Makes the chart's README of README.md.in.

A line `@values KEY …` there becomes the table of these top-level values, `@settings` that of the
settings.
"""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from chart_values import code
from chart_values.errors import ValuesError
from chart_values.reading import Schema, Value
from chart_values.schema import LANE_DEFAULTS, LANES, SETTINGS, lane_schemas

_HEAD = "| value | type | default | what it is |\n|---|---|---|---|\n"
_PLACE = re.compile(r"^@(values|settings)\b(.*)$", re.MULTILINE)
_MADE = "<!-- Made by `make chart` of README.md.in, values.yaml and the code. -->\n"
_LONGEST_DEFAULT = 120


def readme_text(template: str, values: tuple[Value, ...]) -> str:
    """The whole file.

    Raises:
        ValuesError: a value is in no table, or in two, or a table names what is no value.
    """
    by_name = {value.path[0]: value for value in values}
    named = [name for _, names in _PLACE.findall(template) for name in names.split()]
    problems = [
        *(f"README.md.in: no `@values` names {name}." for name in by_name if name not in named),
        *(f"README.md.in: {name} is no value." for name in named if name not in by_name),
        *(f"README.md.in: {name} is named twice." for name in set(named) if named.count(name) > 1),
    ]
    if problems:
        raise ValuesError(problems)

    def table(place: re.Match[str]) -> str:
        if place[1] == "settings":
            return _table(_field_rows(SETTINGS, code.settings()))
        return _table(row for name in place[2].split() for row in _rows(by_name[name], values))

    return _MADE + _PLACE.sub(table, template)


def _table(rows: Iterable[str]) -> str:
    return (_HEAD + "".join(rows)).rstrip("\n")


def _rows(value: Value, values: tuple[Value, ...]) -> Iterator[str]:
    if value.path == LANE_DEFAULTS:
        yield _row(value.key, "map", None, value.description)
        given = value.default
        fields = lane_schemas(values)
        defaults = {
            name: schema | {"default": given[name]} if name in given else schema
            for name, schema in fields.items()
        }
        yield from _field_rows(value.path, defaults)
    elif value.path in (LANES, SETTINGS):
        yield _row(value.key, "map", None, value.description)
    elif value.children:
        yield _row(value.key, "map", None, value.description)
        for child in value.children:
            yield from _rows(child, values)
    else:
        yield _row(value.key, type_of(value.schema or {}), _shown(value.default), value.description)


def _field_rows(above: tuple[str, ...], fields: dict[str, Schema]) -> Iterator[str]:
    for name, schema in fields.items():
        path = (*above, name)
        inner = schema.get("properties")
        default = None if inner else _shown(schema["default"]) if "default" in schema else ""
        yield _row(".".join(path), type_of(schema), default, schema["description"])
        if inner and schema.get("additionalProperties") is False:
            yield from _field_rows(path, inner)


def _row(key: str, kind: str, default: str | None, description: str) -> str:
    cells = (f"`{key}`", kind, default or "", description)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _shown(default: Any) -> str:
    text = json.dumps(default, ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else "see values.yaml"


def type_of(schema: Schema) -> str:
    """The type of a value in words."""
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    types = schema.get("type", "any")
    words = [_type(one, schema) for one in (types if isinstance(types, list) else [types])]
    return " or ".join(words) + _bounds(schema)


def _type(name: str, schema: Schema) -> str:
    inner = schema.get("items") if name == "array" else schema.get("additionalProperties")
    word = {"array": "list", "object": "map"}.get(name, name)
    if name in {"array", "object"} and isinstance(inner, dict) and inner:
        return (
            f"{word} of {type_of(inner)}s" if "enum" not in inner else f"{word} of {type_of(inner)}"
        )
    return word


def _bounds(schema: Schema) -> str:
    ends = [
        f"{word} {schema[key]}"
        for key, word in (
            ("minimum", "≥"),
            ("exclusiveMinimum", ">"),
            ("maximum", "≤"),
            ("exclusiveMaximum", "<"),
        )
        if key in schema
    ]
    return "".join(f", {end}" for end in ends)
