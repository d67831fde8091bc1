"""What the code knows of values: the fields of lanes and the settings of processes."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from chart_values.reading import Schema
from laneway.tasks.queues import Queue, QueueName
from laneway.tasks.settings import Settings

OWNED = frozenset(
    {
        "broker_url",
        "broker_username",
        "broker_ca_file",
        "brokers",
        "result_url",
        "result_username",
        "queues_file",
        "task_modules",
        "storage_url",
        "storage_endpoint",
        "storage_region",
        "smtp_host",
        "smtp_port",
        "smtp_security",
        "smtp_ca_file",
        "smtp_username",
        "smtp_from",
        "gateway_bind",
        "gateway_tokens_file",
        "metrics",
        "health_bind",
        "otlp_endpoint",
        "trace_share",
    }
)
"""Settings that the chart makes of other values."""

USELESS = frozenset({"prometheus_url"})
"""Settings of commands that run on an engineer's machine."""

_SAID_ELSEWHERE = {"title", "format", "writeOnly"}


def lane_name() -> Schema:
    """What a lane may be called."""
    return TypeAdapter(QueueName).json_schema()


def lane_fields() -> dict[str, Schema]:
    """The fields of the queue catalogue, in its order."""
    published = Queue.model_json_schema(by_alias=True)
    definitions = published.get("$defs", {})
    return {name: _plain(schema, definitions) for name, schema in published["properties"].items()}


def settings() -> dict[str, Schema]:
    """The settings that may be given by themselves, in the code's order."""
    published = Settings.model_json_schema()
    left_out = OWNED | USELESS | secret_settings()
    return {
        name: _plain(schema, published.get("$defs", {}))
        for name, schema in published["properties"].items()
        if name not in left_out
    }


def secret_settings() -> frozenset[str]:
    """The settings that belong into a Secret."""
    properties = Settings.model_json_schema()["properties"]
    return frozenset(name for name, schema in properties.items() if _is_secret(schema))


def _is_secret(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_is_secret, schema))
    if not isinstance(schema, dict):
        return False
    return bool(schema.get("writeOnly")) or any(map(_is_secret, schema.values()))


def _plain(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """A schema without references, and without the ways round that pydantic goes for `| None`."""
    reference = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    merged = {**definitions.get(reference, {}), **schema}
    merged.pop("$ref", None)
    either = merged.pop("anyOf", [])
    if {"type": "null"} in either:
        (other,) = (part for part in either if part != {"type": "null"})
        merged |= {**other, "type": [other["type"], "null"]}
    plain = {key: value for key, value in merged.items() if key not in _SAID_ELSEWHERE}
    if "properties" in plain:
        plain["properties"] = {
            name: _plain(part, definitions) for name, part in plain["properties"].items()
        }
    return plain
