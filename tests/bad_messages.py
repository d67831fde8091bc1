"""Whatever may be pushed onto a lane that is no message, or a broken one.

The list holds every kind that has been seen to end, block or mislead a stock worker, and some more.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

Message = dict[str, Any]
Change = Callable[[Message], object]

WAITING_CASE = "eta in the year 9999"
"""Not broken, only patient: it may wait for its time."""

DEPTH = 20_000


@dataclass(frozen=True)
class Case:
    """One kind: a good message with a change, or bytes that are no message."""

    name: str
    change: Change | None = None
    rewrite: Callable[[str], str] | None = None
    """What to do to its text, for what no dictionary can hold."""
    raw: bytes | None = None


def body(content: Any) -> str:
    """A body as kombu's Redis transport carries it."""
    return base64.b64encode(json.dumps(content).encode()).decode()


def raw_body(content: bytes) -> str:
    """A body of any bytes."""
    return base64.b64encode(content).decode()


def headers(**fields: Any) -> Change:
    """Change some of a message's headers."""
    return lambda message: message["headers"].update(fields)


def fields(**values: Any) -> Change:
    """Change some of a message's own fields; `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return lambda message: message.update(named)


def without(*path: str) -> Change:
    """Leave something out."""

    def change(message: Message) -> None:
        place: Any = message
        for name in path[:-1]:
            place = place[name]
        place.pop(path[-1])

    return change


CALLBACK = {"task": "nobody.knows", "args": [], "kwargs": {}, "options": {}, "immutable": True}

BROKEN_FIELDS: dict[str, Change] = {
    "eta": headers(eta="soon"),
    "expires": headers(expires="late"),
    "timelimit": headers(timelimit=["long", None]),
    "timelimit is a string": headers(timelimit="long"),
    "retries": headers(retries="few"),
    "body is no JSON": fields(body=raw_body(b"{")),
    "body is no base64": fields(body="~"),
    "body is no UTF-8": fields(body=raw_body(b'[["\xff"], {}, {}]')),
    "body is nested too deep": fields(body=raw_body(b"[" * DEPTH + b"]" * DEPTH)),
    "content type": fields(content_type="text/x-odd"),
    "content type is pickle": fields(content_type="application/x-python-serialize"),
    "content type is YAML": fields(content_type="application/x-yaml"),
    "body is a string": fields(body=body("x")),
    "body is a map": fields(body=body({"a": 1})),
    "body is short": fields(body=body([[1, 2]])),
    "body is a pair": fields(body=body([[], {}])),
    "args are no list": fields(body=body([5, {}, {}])),
    "kwargs are no map": fields(body=body([[1, 2], 5, {}])),
    "embed is no map": fields(body=body([[1, 2], {}, 5])),
    "arguments do not fit": fields(body=body([[1, 2, 3, 4, 5], {}, {}])),
    "negative timelimit": headers(timelimit=[-1, -1]),
    "unknown task": headers(task="nobody.knows"),
}
"""A message whose task can be told, and fails."""

BROKEN_ENVELOPES: dict[str, Change] = {
    "no headers": fields(headers={}),
    "headers are null": fields(headers=None),
    "headers are a list": fields(headers=[1]),
    "no id": without("headers", "id"),
    "id is a number": headers(id=5),
    "id is a map": headers(id={"a": 1}),
    "task is a list": headers(task=["lane.add"]),
    "task is a map": headers(task={"a": 1}),
    "task is null": headers(task=None),
    "nothing but a name": fields(headers={}, body=body({"task": "lane.add"})),
}
"""A message whose task cannot be told."""

BROKEN_PROPERTIES: dict[str, Change] = {
    "no properties": without("properties"),
    "no delivery tag": without("properties", "delivery_tag"),
    "delivery_info is a string": lambda message: message["properties"].update(delivery_info="x"),
    "unknown body encoding": lambda message: message["properties"].update(body_encoding="rot13"),
}
"""What a transport needs is not there."""

ODD: dict[str, Change] = {
    "stamped_headers is a number": headers(stamped_headers=5),
    "a callback that nobody knows": fields(
        body=body([[], {}, {"callbacks": [CALLBACK], "errbacks": None, "chain": None}])
    ),
    "NaN": fields(body=raw_body(b'[[], {"seconds": NaN}, {}]')),
    WAITING_CASE: headers(eta="9999-12-31T23:59:59+00:00"),
}
"""Odd messages that may well run."""

NO_MESSAGES = ("garbage", "", "[]", "{}", "5", '""', '{"body": "", "properties": {}}', "\udcff")
"""Entries of a list that are no message at all; lone surrogates stand for bytes that are no text."""


def _twice(text: str) -> str:
    """The headers begin with a task's name that a later one contradicts."""
    return text.replace('"headers": {', '"headers": {"task": "nobody.knows", ', 1)


CASES: dict[str, Case] = {
    case.name: case
    for case in (
        *(
            Case(name, change)
            for group in (BROKEN_FIELDS, BROKEN_ENVELOPES, BROKEN_PROPERTIES, ODD)
            for name, change in group.items()
        ),
        Case("a key twice", rewrite=_twice),
        *(
            Case(f"entry {entry!a}", raw=entry.encode(errors="surrogateescape"))
            for entry in NO_MESSAGES
        ),
    )
}
"""Every kind, by name."""


def make_entry(case: Case, copy: Callable[..., str]) -> tuple[str, bytes]:
    """An id and an entry of this kind, made of `copy(id, task, kwargs)`, a good message's text."""
    task_id = str(uuid4())
    if case.raw is not None:
        return task_id, case.raw
    text = copy(task_id, "faults.answer", {}, ignore_result=False)
    if case.change is not None:
        message = json.loads(text)
        case.change(message)
        text = json.dumps(message)
    if case.rewrite is not None:
        text = case.rewrite(text)
    return task_id, text.encode()
