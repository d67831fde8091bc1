"""Makes values.schema.json, which Helm holds values against before it renders.

Draft 7 with references within the file alone: Helm 3 and 4 both take it, and no render waits for a
network.
"""

import json
from collections.abc import Iterable
from typing import Any

from chart_values import code
from chart_values.reading import Schema, Value

LANES = ("queues",)
LANE_DEFAULTS = ("queueDefaults",)
SETTINGS = ("settings",)

_LANE = {"$ref": "#/definitions/lane"}


def schema_text(values: tuple[Value, ...]) -> str:
    """The whole file."""
    return json.dumps(schema_of(values), indent=2, ensure_ascii=False) + "\n"


def schema_of(values: tuple[Value, ...]) -> Schema:
    """The schema of all values. What is not described here is refused."""
    properties = {value.path[-1]: _of(value) for value in values}
    properties["global"] = {"type": "object", "description": "Helm's own: shared with subcharts."}
    properties["enabled"] = {
        "type": "boolean",
        "description": "Helm's own: whether a chart that has this one as a part renders it.",
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the Laneway chart",
        **_closed(properties, _needed(values)),
        "definitions": {"lane": _lane(values)},
    }


def lane_schemas(values: tuple[Value, ...]) -> dict[str, Schema]:
    """The fields of a lane: those of the catalogue, then those of its pods."""
    of_code = code.lane_fields()
    (defaults,) = (value for value in values if value.path == LANE_DEFAULTS)
    of_pods = {
        child.path[-1]: _of(child) for child in defaults.children if child.path[-1] not in of_code
    }
    return of_code | of_pods


def _of(value: Value) -> Schema:
    return {**_structure(value), "description": value.description}


def _structure(value: Value) -> Schema:
    if value.path == LANE_DEFAULTS:
        return {"allOf": [_LANE], "type": "object", "required": _needed(value.children)}
    if value.path == LANES:
        return {
            "type": "object",
            "propertyNames": code.lane_name(),
            "additionalProperties": _LANE,
        }
    if value.path == SETTINGS:
        return _closed(code.settings())
    if value.children:
        children = {child.path[-1]: _of(child) for child in value.children}
        return _closed(children, _needed(value.children))
    schema = dict(value.schema or {})
    if schema.get("additionalProperties") is True:
        del schema["additionalProperties"]
    return {**schema, "default": value.default}


def _lane(values: tuple[Value, ...]) -> Schema:
    """What a lane may say. null takes a lane of values.yaml away."""
    return {**_closed(lane_schemas(values)), "type": ["object", "null"]}


def _closed(properties: Schema, required: Iterable[str] = ()) -> Schema:
    needed = list(required)
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
        "properties": properties,
    }


def _needed(values: Iterable[Value]) -> list[str]:
    """What may not be taken away by null: templates count on it."""
    return [value.path[-1] for value in values if not _may_be_null(value)]


def _may_be_null(value: Value) -> bool:
    types: Any = (value.schema or {}).get("type", [])
    return value.default is None or types == "null" or "null" in types
