"""What a lane holds, and whether it may take more."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.keys import PUBLISHED_AT
from laneway.tasks.errors import BrokerFull, LaneFull
from laneway.tasks.queues import Queue


@dataclass(frozen=True)
class Backlog:
    """Messages of one lane by state."""

    ready: int
    in_flight: int
    delayed: int
    dead: int

    @property
    def waiting(self) -> int:
        """All that is yet to be done."""
        return self.ready + self.in_flight + self.delayed


def read_backlogs(client: "redis.Redis", lanes: Iterable[str]) -> dict[str, Backlog]:
    """Count every lane in one round trip."""
    names = list(lanes)
    with client.pipeline(transaction=False) as pipe:
        for lane in names:
            for name in (*keys.ready_lists(lane), keys.intake(lane)):
                pipe.llen(name)
            pipe.hlen(keys.claims(lane))
            pipe.hlen(keys.stock_unacked(lane))
            pipe.zcard(keys.delayed(lane))
            pipe.zcard(keys.dead_letters(lane))
        counts = pipe.execute()
    width = len(keys.PRIORITY_STEPS) + 5
    rows = (counts[start : start + width] for start in range(0, len(counts), width))
    return {
        lane: Backlog(
            ready=sum(row[:-4]), in_flight=row[-4] + row[-3], delayed=row[-2], dead=row[-1]
        )
        for lane, row in zip(names, rows, strict=True)
    }


def read_oldest_ages_s(client: "redis.Redis", lanes: Iterable[str]) -> dict[str, float]:
    """Seconds that each lane's oldest ready message has waited; 0.0 for an empty lane.

    A lane whose oldest message tells no time of publishing, a stock producer's, is left out.
    """
    names = list(lanes)
    with client.pipeline(transaction=False) as pipe:
        for lane in names:
            for name in keys.ready_lists(lane):
                pipe.lindex(name, -1)
        entries = pipe.execute()
    width = len(keys.PRIORITY_STEPS)
    now, ages = time.time(), {}
    for number, lane in enumerate(names):
        oldest = [entry for entry in entries[number * width :][:width] if entry]
        published = [_published_at_s(entry) for entry in oldest]
        if None not in published:
            ages[lane] = max((now - at_s for at_s in published if at_s is not None), default=0.0)
    return ages


def _published_at_s(entry: str) -> float | None:
    try:
        return float(json.loads(entry)["headers"][PUBLISHED_AT])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def check_room(client: "redis.Redis", lane: str, queue: Queue, watermark: float) -> None:
    """Refuse what the lane or Redis has no room for, while workers drain on.

    Raises:
        LaneFull: the lane holds `maxLength` messages or more, those that workers hold and those
            that wait for their time included.
        BrokerFull: Redis uses more than `watermark` of its maxmemory.
    """
    held = read_backlogs(client, [lane])[lane].waiting
    if held >= queue.max_length:
        raise LaneFull(
            f"Queue {lane!r} holds {held} messages; its maxLength is {queue.max_length}. Retry "
            "later, scale the lane up, or raise maxLength in the catalogue."
        )
    share = memory_share(client)
    if share > watermark:
        raise BrokerFull(
            f"Redis uses {share:.0%} of its maxmemory; new tasks are refused above "
            f"{watermark:.0%} (LANEWAY_BROKER_MEMORY_WATERMARK). Retry later, drain the lanes, or "
            "raise maxmemory."
        )


_MEMORY_CACHE_S = 1.0
_memory: "WeakKeyDictionary[redis.Redis, tuple[float, float]]" = WeakKeyDictionary()


def memory_share(client: "redis.Redis") -> float:
    """Used memory as a share of maxmemory, 0.0 without a maxmemory; at most a second old."""
    now = time.monotonic()
    read_at, share = _memory.get(client, (-_MEMORY_CACHE_S, 0.0))
    if now - read_at >= _MEMORY_CACHE_S:
        info = client.info("memory")
        limit = int(info.get("maxmemory", 0))
        share = int(info["used_memory"]) / limit if limit else 0.0
        _memory[client] = (now, share)
    return share
