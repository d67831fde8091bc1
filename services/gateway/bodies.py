"""Request bodies: read up to a cap and within a time, and taken as JSON without surprises."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import anyio
from fastapi import Depends, Header, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from laneway.services.gateway.models import KEY_PATTERN
from laneway.services.gateway.problems import Problem, invalid_request

DEEPEST = 64
"""Nesting above which JSON is refused."""

BULK_BODY_FACTOR = 16
"""A bulk body may be this many times as large as the payload of one task."""

PART_WAIT_S = 30.0
"""Longest wait for the next part of a body."""

BODY_WAIT_S = 60.0
"""Longest wait for a whole JSON body."""

_LONGEST_INTEGER = 100
_DRAIN_BYTES = 4 * 2**20
_DRAIN_WAIT_S = 2.0

Model = TypeVar("Model", bound=BaseModel)


async def parts_of(request: Request) -> AsyncIterator[bytes]:
    """The body in parts as they arrive.

    Raises:
        Problem: 408, the next part did not come in time.
    """
    stream = request.stream()
    while True:
        try:
            with anyio.fail_after(PART_WAIT_S):
                part = await anext(stream, None)
        except TimeoutError:
            raise _too_slow() from None
        if part is None:
            return
        if part:
            yield part


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body.

    Raises:
        Problem: 408 too slow, 413 above the limit, 415 not JSON by its headers.
    """
    _check_is_json(request)
    body = bytearray()
    try:
        with anyio.fail_after(BODY_WAIT_S):
            async for part in parts_of(request):
                body += part
                if len(body) > limit_bytes:
                    await drain(request)
                    raise _too_large(limit_bytes)
    except TimeoutError:
        raise _too_slow() from None
    return bytes(body)


async def drain(request: Request) -> None:
    """Read on for a moment, so that a client that still sends gets to see the answer."""
    left = _DRAIN_BYTES
    # Already read to its end, or nobody is there to see the answer.
    with suppress(RuntimeError, ClientDisconnect), anyio.move_on_after(_DRAIN_WAIT_S):
        async for part in request.stream():
            left -= len(part)
            if left < 0:
                return


def parse_json(body: bytes) -> Any:
    """A JSON document, in UTF-8, without NaN, Infinity, repeated keys or deep nesting.

    Raises:
        Problem: 400 that says which of these it breaks.
    """
    try:
        content = json.loads(
            body.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_sane,
            object_pairs_hook=_unique,
        )
        _check_text(content)
    except RecursionError:
        raise _not_json(f"is nested deeper than {DEEPEST}") from None
    except UnicodeError:
        raise _not_json("is not UTF-8, or holds half a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise _not_json(f"{error.msg} at line {error.lineno} column {error.colno}") from None
    except ValueError as error:
        raise _not_json(str(error)) from None
    return content


def parse_model(model: type[Model], content: Any, prefix: str = "") -> Model:
    """Content as a model.

    Raises:
        Problem: 422 that names each field and its reason.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid_request(
            [
                {
                    "field": prefix + (".".join(map(str, one["loc"])) or "body"),
                    "reason": one["msg"],
                }
                for one in error.errors(include_input=False, include_url=False)
            ]
        ) from None


def _check_is_json(request: Request) -> None:
    sent = request.headers.getlist("content-type")
    kind, _, parameters = (sent[0] if sent else "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if len(sent) != 1 or kind.strip().lower() != "application/json":
        raise _unsupported("Content-Type", "application/json")
    if charset not in ("", "charset=utf-8"):
        raise _unsupported("Content-Type", "application/json in UTF-8")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise _unsupported("Content-Encoding", "an uncompressed body")


def _unsupported(header: str, wanted: str) -> Problem:
    return Problem(
        415, "unsupported_media_type", f"{header} does not fit: send {wanted}.", {"header": header}
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"holds {name}, which is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("holds a number that is too large")
    return number


def _sane(text: str) -> int:
    if len(text) > _LONGEST_INTEGER:
        raise ValueError("holds a number that is too large")
    return int(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("holds an object with the same key twice")
    return found


def _check_text(content: Any) -> None:
    """Refuse deep nesting and text that no UTF-8 can carry."""
    level = [content]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise RecursionError


def _not_json(reason: str) -> Problem:
    return Problem(
        400, "invalid_json", f"The body is not the JSON that is wanted here: {reason}. Correct it."
    )


def _too_large(limit_bytes: int) -> Problem:
    return Problem(
        413,
        "payload_too_large",
        f"The body is larger than {limit_bytes} bytes. Upload large content to /v1/documents and "
        "send its file_path, split a bulk, or raise LANEWAY_GATEWAY_PAYLOAD_LIMIT_BYTES.",
        {"limit_bytes": limit_bytes},
    )


def _too_slow() -> Problem:
    return Problem(408, "body_too_slow", "The body did not arrive in time. Send it again.")


@dataclass(frozen=True)
class Sent:
    """What a submit sends: its body, and the headers that go with it."""

    body: bytes
    idempotency_key: str | None
    trace: dict[str, str]


IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=KEY_PATTERN,
        description="The same key within a day answers the same task and queues no second.",
    ),
]


async def _one_task(request: Request, idempotency_key: IdempotencyKey = None) -> Sent:
    return await _sent(request, idempotency_key, 1)


async def _many_tasks(request: Request, idempotency_key: IdempotencyKey = None) -> Sent:
    return await _sent(request, idempotency_key, BULK_BODY_FACTOR)


async def _json_body(request: Request) -> bytes:
    return await read_body(request, request.app.state.gateway.payload_limit_bytes)


async def _sent(request: Request, key: str | None, factor: int) -> Sent:
    limit_bytes = request.app.state.gateway.payload_limit_bytes * factor
    return Sent(await read_body(request, limit_bytes), key, trace_headers(request))


def trace_headers(request: Request) -> dict[str, str]:
    """The caller's trace, which the task continues."""
    names = ("traceparent", "tracestate")
    return {name: request.headers[name] for name in names if name in request.headers}


OneTask = Annotated[Sent, Depends(_one_task)]
ManyTasks = Annotated[Sent, Depends(_many_tasks)]
JsonBody = Annotated[bytes, Depends(_json_body)]
