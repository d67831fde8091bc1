"""Telling messages from what is none, before kombu or Celery stumble over it.

Anybody who reaches Redis may push anything onto a lane. Both libraries take the envelope for
granted: what breaks it would end the worker, and be lost with it.
"""

import json
import math
from typing import Any

import msgspec

from laneway.tasks.broker.delayed import read_moment
from laneway.tasks.broker.ledger import Claim

UNDECODABLE = object()

_decode = msgspec.json.Decoder().decode

FARTHEST_S = 10 * 366 * 86_400
"""A message due later than in ten years is a mistake, and would be held for ever."""


class Malformed(Exception):
    """What lay on the lane is no message."""


def read_envelope(claim: Claim, lane: str) -> dict[str, Any]:
    """The envelope of a claimed message, as kombu wants it; its delivery tag is the claim's id.

    Raises:
        Malformed: it is none; says why.
    """
    try:
        envelope = _decode(claim.message)
    except (msgspec.MsgspecError, RecursionError):
        envelope = _decode_slowly(claim.message)
    if not isinstance(envelope, dict):
        raise Malformed("no JSON object")
    for part in ("headers", "properties"):
        if not isinstance(envelope.get(part), dict):
            raise Malformed(f"no {part}")
    properties = envelope["properties"]
    place = properties.setdefault("delivery_info", {})
    if not isinstance(place, dict):
        raise Malformed("no delivery_info")
    place.setdefault("exchange", "")
    place.setdefault("routing_key", lane)
    if claim.deliveries > 1:
        place["redelivered"] = True
    properties["delivery_tag"] = claim.id
    return envelope


def _decode_slowly(message: bytes) -> Any:
    """What Python's own decoder lets through besides, such as NaN, stays good."""
    try:
        return json.loads(message)
    except (ValueError, RecursionError) as error:
        raise Malformed(type(error).__name__) from None


def headers_of(message: bytes) -> dict[str, Any]:
    """Headers of what may be no message; empty if it has none."""
    try:
        headers = json.loads(message)["headers"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return headers if isinstance(headers, dict) else {}


def due_ms(envelope: dict[str, Any]) -> int | None:
    """When a message is due, milliseconds since the epoch; None for at once.

    Raises:
        Malformed: it says something that is no time.
    """
    eta = envelope["headers"].get("eta")
    if eta is None:
        return None
    try:
        return math.ceil(read_moment(eta).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        raise Malformed("eta is no time") from None


def is_task(message: Any) -> bool:
    """Whether a message names a task and its id, in either of Celery's protocols."""
    fields = message.headers if "task" in message.headers else _decoded(message)
    return fields is UNDECODABLE or (
        isinstance(fields, dict)
        and all(isinstance(fields.get(name), str) and fields[name] for name in ("task", "id"))
    )


def has_arguments(message: Any) -> bool:
    """Whether the body of a task is one: `[args, kwargs, embed]`, or a map of the first protocol."""
    match _decoded(message):
        case [list(), dict(), dict() | None]:
            return True
        case dict() as body:
            named = "args" in body or "task" in body
            lists = isinstance(body.get("args", []), list)
            return named and lists and isinstance(body.get("kwargs", {}), dict)
        case body:
            return body is UNDECODABLE


def _decoded(message: Any) -> Any:
    """The body. Celery tells apart, and refuses, what cannot be decoded: that is its own matter."""
    try:
        return message.payload
    except Exception:  # noqa: BLE001 - whatever a decoder raises
        return UNDECODABLE
