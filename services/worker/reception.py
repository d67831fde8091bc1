"""Telling messages from what is none, before kombu or Celery stumble over it.

Anybody who reaches Redis may push anything onto a lane. Both libraries take the envelope for
granted: what breaks it would end the worker, and be lost with it.
"""

from collections.abc import Callable
from typing import Any

from kombu.transport.redis import Channel
from kombu.utils.json import loads

Keep = Callable[[str], None]

UNDECODABLE = object()


def keep_aside(connection: Any, keep: Keep) -> None:
    """Let `connection`, a kombu one, hand to `keep` what it takes off a list and is no message."""
    if connection.transport.Channel is Channel:
        connection.transport.Channel = type(
            "LaneChannel", (_LaneChannel,), {"keep": staticmethod(keep)}
        )


class _LaneChannel(Channel):
    keep: Keep

    def _get_client(self) -> Any:
        channel = self

        class Client(super()._get_client()):  # type: ignore[misc]
            def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
                answer = super().parse_response(connection, command_name, **options)
                if command_name != "BRPOP" or not answer or channel.can_read(answer[1]):
                    return answer
                channel.keep(_text(answer[1]))
                return None  # as if nothing had come

        return Client

    def can_read(self, entry: bytes | str) -> bool:
        """Whether kombu can make a message of a list's entry, and give it back."""
        try:
            message = self.Message(loads(_text(entry)), channel=self)
            place = message.delivery_info
            return isinstance(message.headers, dict) and {"exchange", "routing_key"} <= place.keys()
        except (AttributeError, KeyError, TypeError, ValueError):
            return False


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


def _text(entry: bytes | str) -> str:
    return entry if isinstance(entry, str) else entry.decode(errors="backslashreplace")
