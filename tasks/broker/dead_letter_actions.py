"""What is done to dead letters, and the log of it.

A move and the entry that tells of it are one step in Redis: nothing is replayed or discarded
without a trace of who did it and why.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from uuid import uuid4

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.dead_letters import as_text, now_ms
from laneway.tasks.broker.scripting import run

LOG_KEPT = 1_000
"""Entries kept of what was done to a lane's dead letters."""

VERSION = 1


@dataclass(frozen=True)
class Action:
    """What was done to dead letters: by whom, through which door, why, to which and to how many.

    One action may take many steps: each has its entry in the log, and they have one `id`.
    """

    verb: str
    by: str
    via: str
    why: str
    chosen: str
    id: str = field(default_factory=lambda: uuid4().hex[:16])
    count: int = 0
    at_s: float = 0.0


@dataclass(frozen=True)
class Pace:
    """When replayed messages are due: the first at `first_ms`, each other `interval_ms` later."""

    first_ms: float
    interval_ms: float

    def after(self, count: int) -> "Pace":
        """The pace of what follows `count` others."""
        return replace(self, first_ms=self.first_ms + count * self.interval_ms)


def replay(
    client: "redis.Redis",
    lane: str,
    letters: Sequence[str],
    action: Action,
    pace: Pace | None = None,
) -> list[str]:
    """Put dead letters back on their lane as if just sent, at once or at a pace.

    Returns:
        Those that were still there.
    """
    names = [*_names(lane), keys.delayed(lane), *keys.ready_lists(lane)]
    due = [pace.first_ms, pace.interval_ms] if pace else [0, 0]
    return _texts(run(client, "replay", names, [_entry(action), LOG_KEPT, *due, *letters]))


def discard(client: "redis.Redis", lane: str, letters: Sequence[str], action: Action) -> list[str]:
    """Remove dead letters for good; those that were still there."""
    return _texts(run(client, "discard", _names(lane), [_entry(action), LOG_KEPT, *letters]))


def log_action(client: "redis.Redis", lane: str, action: Action) -> None:
    """Note what was done without moving anything."""
    told = f"{VERSION} {action.count} {now_ms(client)}\n{_entry(action)}"
    with client.pipeline() as pipe:
        pipe.lpush(keys.dead_log(lane), told)
        pipe.ltrim(keys.dead_log(lane), 0, LOG_KEPT - 1)
        pipe.execute()


def read_actions(client: "redis.Redis", lane: str, limit: int = 100) -> list[Action]:
    """What was done to a lane's dead letters, the latest first; the steps of an action as one."""
    found: dict[str, Action] = {}
    for told in client.lrange(keys.dead_log(lane), 0, -1):
        head, _, entry = as_text(told).partition("\n")
        _, count, at_ms = head.split()[:3]
        fields = json.loads(entry)
        names = ("verb", "by", "via", "why", "chosen", "id")
        step = Action(**{name: fields[name] for name in names}, at_s=int(at_ms) / 1000)
        known = found.setdefault(step.id, step)
        found[step.id] = replace(known, count=known.count + int(count))
    return list(found.values())[:limit]


def _texts(values: Iterable[str | bytes]) -> list[str]:
    return list(map(as_text, values))


def _names(lane: str) -> list[str]:
    return [keys.dead_letters(lane), keys.dead_records(lane), keys.dead_log(lane)]


def _entry(action: Action) -> str:
    fields = asdict(action)
    return json.dumps({name: fields[name] for name in fields if name not in ("count", "at_s")})
