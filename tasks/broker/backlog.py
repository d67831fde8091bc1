"""What a lane holds, and whether it may take more."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import redis

from laneway.tasks.broker import keys
from laneway.tasks.errors import BrokerFull, LaneFull
from laneway.tasks.queues import Queue


@dataclass(frozen=True)
class Backlog:
    """Messages of one lane by state."""

    ready: int
    in_flight: int
    dead: int


def read_backlogs(client: "redis.Redis", lanes: Iterable[str]) -> dict[str, Backlog]:
    """Count every lane in one round trip."""
    names = list(lanes)
    with client.pipeline(transaction=False) as pipe:
        for lane in names:
            for name in keys.ready_lists(lane):
                pipe.llen(name)
            pipe.hlen(keys.unacked(lane))
            pipe.zcard(keys.dead_letters(lane))
        counts = pipe.execute()
    width = len(keys.PRIORITY_STEPS) + 2
    rows = (counts[start : start + width] for start in range(0, len(counts), width))
    return {
        lane: Backlog(ready=sum(row[:-2]), in_flight=row[-2], dead=row[-1])
        for lane, row in zip(names, rows, strict=True)
    }


def check_room(client: "redis.Redis", lane: str, queue: Queue, watermark: float) -> None:
    """Refuse what the lane or Redis has no room for, while workers drain on.

    Raises:
        LaneFull: the lane holds `maxLength` ready messages or more.
        BrokerFull: Redis uses more than `watermark` of its maxmemory.
    """
    ready = read_backlogs(client, [lane])[lane].ready
    if ready >= queue.max_length:
        raise LaneFull(
            f"Queue {lane!r} holds {ready} messages; its maxLength is {queue.max_length}. Retry "
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
