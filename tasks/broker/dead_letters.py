"""Messages that cannot run, kept with the reason instead of dropped.

A dead letter is kept as it was sent, byte for byte, with a head line of JSON in front: see
`scripts/records.lua`, which writes them when a claim ends so. Task and id are read from the message
when somebody looks.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.scripting import run

PAGE = 500
LOG_KEPT = 1_000
"""Entries kept of what was done to a lane's dead letters."""


@dataclass(frozen=True)
class DeadLetter:
    """One message that could not run. Times are seconds since the epoch.

    `kind` is one of a few words, `reason` says more; `message` is what the producer sent.
    """

    id: str
    kind: str
    reason: str
    worker: str
    deliveries: int
    died_at_s: float
    message: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The message as JSON reads it; empty if it is no JSON object."""
        try:
            found = json.loads(self.message)
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
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Filter:
    """Which dead letters are meant; what is not given matches all."""

    kind: str | None = None
    task: str | None = None
    before_s: float | None = None
    after_s: float | None = None

    def matches(self, letter: DeadLetter) -> bool:
        """Whether a dead letter is meant."""
        return (
            (self.kind is None or letter.kind == self.kind)
            and (self.task is None or letter.task == self.task)
            and (self.before_s is None or letter.died_at_s < self.before_s)
            and (self.after_s is None or letter.died_at_s >= self.after_s)
        )


@dataclass(frozen=True)
class Action:
    """What was done to dead letters: what, to how many, by whom and why."""

    verb: str
    count: int
    by: str
    why: str
    at_s: float = 0.0


def iterate(client: "redis.Redis", lane: str, wanted: Filter | None = None) -> Iterator[DeadLetter]:
    """The lane's dead letters that are meant, the youngest first.

    `client` may decode its answers or not; what no UTF-8 is comes through either way only when it
    does not.
    """
    wanted = wanted or Filter()
    highest = f"({wanted.before_s * 1000:.0f}" if wanted.before_s is not None else "+inf"
    lowest = f"{wanted.after_s * 1000:.0f}" if wanted.after_s is not None else "-inf"
    # By name, not by place: places shift when letters go meanwhile.
    ids = client.zrevrangebyscore(keys.dead_letters(lane), highest, lowest)
    for start in range(0, len(ids), PAGE):
        page = [_text(letter) for letter in ids[start : start + PAGE]]
        records = client.hmget(keys.dead_records(lane), page)
        for letter, record in zip(page, records, strict=True):
            found = _parse(letter, record)
            if found is not None and wanted.matches(found):
                yield found


def read_dead_letter(client: "redis.Redis", lane: str, letter: str) -> DeadLetter | None:
    """One dead letter, or None if there is none of this id."""
    return _parse(letter, client.hget(keys.dead_records(lane), letter))


def replay(client: "redis.Redis", lane: str, letters: Iterable[str]) -> int:
    """Put dead letters back on their lane, as if just sent; how many were still there."""
    return _move(client, "replay", lane, letters)


def discard(client: "redis.Redis", lane: str, letters: Iterable[str]) -> int:
    """Remove dead letters for good; how many were still there."""
    return _move(client, "discard", lane, letters)


def log_action(client: "redis.Redis", lane: str, action: Action) -> None:
    """Note what was done to a lane's dead letters, by Redis's clock."""
    seconds, micros = client.time()
    at_s = int(seconds) + int(micros) / 1e6
    entry = json.dumps({"version": 1, **replace(action, at_s=at_s).__dict__})
    with client.pipeline() as pipe:
        pipe.lpush(keys.dead_log(lane), entry)
        pipe.ltrim(keys.dead_log(lane), 0, LOG_KEPT - 1)
        pipe.execute()


def read_actions(client: "redis.Redis", lane: str, limit: int = 100) -> list[Action]:
    """What was done to a lane's dead letters, the latest first."""
    entries = (json.loads(entry) for entry in client.lrange(keys.dead_log(lane), 0, limit - 1))
    return [
        Action(e["verb"], int(e["count"]), e["by"], e["why"], float(e["at_s"])) for e in entries
    ]


def _move(client: "redis.Redis", script: str, lane: str, letters: Iterable[str]) -> int:
    names = [keys.dead_letters(lane), keys.dead_records(lane), *keys.ready_lists(lane)]
    ids, moved = list(letters), 0
    for start in range(0, len(ids), PAGE):
        moved += int(run(client, script, names, ids[start : start + PAGE]))
    return moved


def _parse(letter: str, record: str | bytes | None) -> DeadLetter | None:
    if record is None:
        return None
    raw = record if isinstance(record, bytes) else record.encode()
    head_line, _, message = raw.partition(b"\n")
    head = json.loads(head_line)
    return DeadLetter(
        id=letter,
        kind=head["kind"],
        reason=head["reason"],
        worker=head["worker"],
        deliveries=int(head["deliveries"]),
        died_at_s=head["died_at_ms"] / 1000,
        message=message,
    )


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode()
