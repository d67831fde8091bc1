"""The OpenAPI document: FastAPI's, with a schema for each task from its contract."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from laneway.services.gateway.dead_letter_models import Discard, Replay
from laneway.services.gateway.models import Bulk, NewTask

SUBMIT = "Submit"
BULK = "Bulk"
REPLAY = "Replay"
DISCARD = "Discard"
_REF = "#/components/schemas/"

Schema = dict[str, Any]


def json_body(schema: str) -> Schema:
    """`openapi_extra` of an endpoint that reads a JSON body itself."""
    content = {"application/json": {"schema": {"$ref": f"{_REF}{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


def file_body() -> Schema:
    """`openapi_extra` of an endpoint that streams a file."""
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": file},
                "multipart/form-data": {"schema": form},
            },
        }
    }


def describe_tasks(
    api: FastAPI, tasks: Mapping[str, type[BaseModel] | None], bulk_limit: int
) -> None:
    """Let the API's document hold a schema for each task.

    Args:
        api: the gateway.
        tasks: contracts by the task's name; None for a task without one.
        bulk_limit: most tasks of a bulk.
    """

    def document() -> Schema:
        if api.openapi_schema is None:
            schema = get_openapi(
                title=api.title,
                version=api.version,
                description=api.description,
                routes=api.routes,
            )
            schemas = schema.setdefault("components", {}).setdefault("schemas", {})
            schemas |= _submit_schemas(tasks, bulk_limit)
            schemas |= {REPLAY: Replay.model_json_schema(), DISCARD: Discard.model_json_schema()}
            api.openapi_schema = schema
        return api.openapi_schema

    api.openapi = document  # type: ignore[method-assign]


def _submit_schemas(
    tasks: Mapping[str, type[BaseModel] | None], bulk_limit: int
) -> dict[str, Schema]:
    schemas: dict[str, Schema] = {}
    mapping = {name: f"{_REF}{SUBMIT}.{name}" for name in sorted(tasks)}
    for name in mapping:
        schemas[f"{SUBMIT}.{name}"] = _submit_of(name, tasks[name], schemas)
    schemas[SUBMIT] = {
        "oneOf": [{"$ref": ref} for ref in mapping.values()],
        "discriminator": {"propertyName": "task", "mapping": mapping},
    }
    schemas[BULK] = Bulk.model_json_schema()
    schemas[BULK]["properties"]["tasks"] |= {
        "items": {"$ref": f"{_REF}{SUBMIT}"},
        "maxItems": bulk_limit,
    }
    return schemas


def _submit_of(name: str, contract: type[BaseModel] | None, schemas: dict[str, Schema]) -> Schema:
    schema = NewTask.model_json_schema()
    schema["title"] = f"Submit {name}"
    schema["properties"]["task"] = {"const": name, "type": "string"}
    if contract is None:
        return schema
    payload = contract.model_json_schema(ref_template=_REF + "{model}")
    schemas |= payload.pop("$defs", {})
    schemas[f"Payload.{name}"] = payload
    schema["description"] = payload.get("description", name)
    schema["properties"]["kwargs"] = {"$ref": f"{_REF}Payload.{name}"}
    if payload.get("required"):
        schema["required"] = [*schema["required"], "kwargs"]
    return schema
