"""Messages that cannot run, kept with the reason instead of dropped.

A dead letter is kept as it was sent, byte for byte, with a head line of JSON in front: see
`scripts/records.lua`, which writes them when a claim ends so. Task and id are read from the message
when somebody looks.
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import redis
from redis.client import NEVER_DECODE

from laneway.tasks.broker import keys
from laneway.tasks.broker.scripting import run
from laneway.tasks.queues import DeadLetterRetention

PAGE = 500
"""Dead letters that one command is asked for."""

PRUNED = 1_000
"""Dead letters that go at once: Redis serves nobody else meanwhile."""

READ_BYTES = 8 * 2**20
"""What is read at once: a lane may hold many large messages."""


@dataclass(frozen=True)
class DeadLetter:
    """One message that could not run. Times are seconds since the epoch.

    `kind` is one of a few words, `reason` says more; `message` is what the producer sent, or None
    if it is larger than was asked for.
    """

    id: str
    kind: str
    reason: str
    worker: str
    deliveries: int
    died_at_s: float
    size_bytes: int
    message: bytes | None

    @cached_property
    def envelope(self) -> dict[str, Any]:
        """The message as JSON reads it; empty if it is no JSON object."""
        try:
            found = json.loads(self.message or b"")
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def task(self) -> str | None:
        """Name of the task, if the message names one."""
        return self._header("task")

    @property
    def task_id(self) -> str | None:
        """Id of the task, if the message has one."""
        return self._header("id")

    def _header(self, name: str) -> str | None:
        headers = self.envelope.get("headers")
        value = headers.get(name) if isinstance(headers, dict) else None
        # JSON can spell half a surrogate pair, which no terminal and no answer can carry.
        return value.encode(errors="replace").decode() if isinstance(value, str) else None

    def summary(self) -> dict[str, Any]:
        """All but the message: nothing of what the task was given."""
        names = ("id", "kind", "reason", "task", "task_id", "worker", "deliveries", "died_at_s")
        return {name: getattr(self, name) for name in (*names, "size_bytes")}

    def whole(self) -> dict[str, Any]:
        """With the message: text in `message`, or what is no UTF-8 as base64; `encoding` tells."""
        return {**self.summary(), **_presented(self.message)}


def _presented(message: bytes | None) -> dict[str, str | None]:
    if message is None:
        return {"encoding": None, "message": None}
    try:
        return {"encoding": "utf-8", "message": message.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "message": b64encode(message).decode()}


@dataclass(frozen=True)
class Filter:
    """Which dead letters are meant; what is not given matches all. From `after_s` to `before_s`."""

    kind: str | None = None
    task: str | None = None
    before_s: float | None = None
    after_s: float | None = None

    @property
    def reads_records(self) -> bool:
        """Whether the time alone does not tell."""
        return self.kind is not None or self.task is not None

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is meant."""
        return (
            (self.kind is None or letter.kind == self.kind)
            and (self.task is None or letter.task == self.task)
            and (self.before_s is None or letter.died_at_s < self.before_s)
            and (self.after_s is None or letter.died_at_s >= self.after_s)
        )


EVERY = Filter()


@dataclass(frozen=True)
class Order:
    """In which order dead letters come, and how much of them."""

    oldest_first: bool = False
    most_bytes: int | None = None
    """Of a larger message only the head is read."""


YOUNGEST_FIRST = Order()


def iterate(
    client: "redis.Redis", lane: str, wanted: Filter = EVERY, order: Order = YOUNGEST_FIRST
) -> Iterator[DeadLetter]:
    """The lane's dead letters that are meant; those that die meanwhile are left out."""
    for ids in _pages(client, lane, wanted, oldest_first=order.oldest_first):
        for letter in read_named(client, lane, ids, order.most_bytes):
            if wanted.matches(letter):
                yield letter


def iterate_ids(client: "redis.Redis", lane: str, wanted: Filter = EVERY) -> Iterator[str]:
    """The ids of the dead letters that are meant, the oldest first."""
    if wanted.reads_records:
        for letter in iterate(client, lane, wanted, Order(oldest_first=True)):
            yield letter.id
    else:
        for ids in _pages(client, lane, wanted, oldest_first=True):
            yield from ids


def read_dead_letter(
    client: "redis.Redis", lane: str, letter: str, most_bytes: int | None = None
) -> DeadLetter | None:
    """One dead letter, or None if there is none of this id."""
    return next(read_named(client, lane, [letter], most_bytes), None)


def prune(client: "redis.Redis", lane: str, kept: DeadLetterRetention) -> int:
    """Remove dead letters that are too many and too old, PRUNED of each; how many those were.

    Every burial does it too, but on a lane where nothing dies any more nobody else would.
    """
    names = [keys.dead_letters(lane), keys.dead_records(lane)]
    return int(run(client, "prune", names, [kept.count, kept.seconds * 1000, PRUNED]))


def now_ms(client: "redis.Redis") -> int:
    """Redis's clock, milliseconds since the epoch."""
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def _pages(
    client: "redis.Redis", lane: str, wanted: Filter, *, oldest_first: bool
) -> Iterator[list[str]]:
    """Ids by time of death. By time, not by place: places shift when letters go meanwhile."""
    lowest = "-inf" if wanted.after_s is None else f"{wanted.after_s * 1000:.0f}"
    now, before = now_ms(client), wanted.before_s
    highest = str(now) if before is None or before * 1000 > now else f"({before * 1000:.0f}"
    name = keys.dead_letters(lane)
    while True:
        ends = (lowest, highest) if oldest_first else (highest, lowest)
        page: list[tuple[str | bytes, float]] = client.zrange(  # type: ignore[assignment]
            name, *ends, desc=not oldest_first, byscore=True, offset=0, num=PAGE, withscores=True
        )
        ids = [as_text(letter) for letter, _ in page]
        if len(page) < PAGE:
            yield ids
            return
        # Many may have died in the same millisecond: all of the last one's come with this page.
        last = page[-1][1]
        tied: list[str | bytes] = client.zrange(name, last, last, byscore=True)  # type: ignore[assignment]
        others = [as_text(letter) for letter, at_ms in page if at_ms != last]
        yield [*others, *map(as_text, tied)]
        if oldest_first:
            lowest = f"({last:.0f}"
        else:
            highest = f"({last:.0f}"


def read_named(
    client: "redis.Redis", lane: str, ids: Sequence[str], most_bytes: int | None = None
) -> Iterator[DeadLetter]:
    """The dead letters of these ids that are there, a bounded number of bytes at once."""
    name = keys.dead_records(lane)
    with client.pipeline(transaction=False) as pipe:
        for letter in ids:
            pipe.hstrlen(name, letter)
        sizes = pipe.execute()
    batch: list[str] = []
    batch_bytes = 0
    for letter, size_bytes in zip(ids, sizes, strict=True):
        too_large = most_bytes is not None and size_bytes > most_bytes
        if batch and (too_large or batch_bytes + size_bytes > READ_BYTES):
            yield from _read_whole(client, name, batch)
            batch, batch_bytes = [], 0
        if too_large:
            yield from _read_head(client, name, letter)
        else:
            batch.append(letter)
            batch_bytes += size_bytes
    if batch:
        yield from _read_whole(client, name, batch)


def _read_whole(client: "redis.Redis", name: str, ids: list[str]) -> Iterator[DeadLetter]:
    # Whatever the client makes of other answers: a message may be no text.
    records = client.execute_command("HMGET", name, *ids, **{NEVER_DECODE: True})  # type: ignore[no-untyped-call]
    for letter, record in zip(ids, records, strict=True):
        if record is not None:
            head, _, message = record.partition(b"\n")
            yield _parse(letter, head, len(message), message)


def _read_head(client: "redis.Redis", name: str, letter: str) -> Iterator[DeadLetter]:
    found = run(client, "head", [name], [letter])
    if found is not None:
        head, size_bytes = found
        yield _parse(letter, head, int(size_bytes), None)


def _parse(letter: str, head: str | bytes, size_bytes: int, message: bytes | None) -> DeadLetter:
    text = head if isinstance(head, str) else head.decode(errors="replace")
    fields = json.loads(text)
    return DeadLetter(
        id=letter,
        kind=fields["kind"],
        reason=fields["reason"],
        worker=fields["worker"],
        deliveries=int(fields["deliveries"]),
        died_at_s=fields["died_at_ms"] / 1000,
        size_bytes=size_bytes,
        message=message,
    )


def as_text(value: str | bytes) -> str:
    """An answer of Redis as text, whether its client decodes or not."""
    return value if isinstance(value, str) else value.decode()


def in_pages(ids: Iterable[str]) -> Iterator[list[str]]:
    """Ids in lists of a length that one command may have."""
    left = iter(ids)
    while page := list(islice(left, PAGE)):
        yield page
