"""What a lane holds, and whether it may take more."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.client import broker_client, broker_url, reaching
from laneway.tasks.broker.keys import PUBLISHED_AT
from laneway.tasks.errors import BrokerFull, BrokerUnavailable, LaneFull
from laneway.tasks.queues import Catalogue, Queue
from laneway.tasks.settings import Settings

T = TypeVar("T")


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


@dataclass(frozen=True)
class Counts:
    """Messages of one lane by state, the ready ones by kombu's priority step."""

    ready: dict[int, int]
    in_flight: int
    delayed: int
    dead: int


def ask_counts(pipe: Any, lane: str) -> None:
    """Ask for what `take_counts` takes of the answers."""
    for name in (*keys.ready_lists(lane), keys.intake(lane)):
        pipe.llen(name)
    pipe.hlen(keys.claims(lane))
    pipe.hlen(keys.stock_unacked(lane))
    pipe.zcard(keys.delayed(lane))
    pipe.zcard(keys.dead_letters(lane))


def take_counts(answers: Iterator[Any]) -> Counts:
    """One lane's counts, from the front of the answers."""
    ready = {step: int(next(answers)) for step in keys.PRIORITY_STEPS}
    intake, claims, stock, delayed, dead = (int(next(answers)) for _ in range(5))
    ready[keys.PRIORITY_STEPS[0]] += intake  # what was popped and is being recorded
    return Counts(ready, claims + stock, delayed, dead)


def read_backlogs(client: "redis.Redis", lanes: Iterable[str]) -> dict[str, Backlog]:
    """Count every lane in one round trip."""
    names = list(lanes)
    with client.pipeline(transaction=False) as pipe:
        for lane in names:
            ask_counts(pipe, lane)
        answers = iter(pipe.execute())
    counted = {lane: take_counts(answers) for lane in names}
    return {
        lane: Backlog(sum(counts.ready.values()), counts.in_flight, counts.delayed, counts.dead)
        for lane, counts in counted.items()
    }


@dataclass(frozen=True)
class Seen:
    """What was seen of lanes: their backlogs, and why those of some brokers are missing."""

    backlogs: dict[str, Backlog]
    away: list[BrokerUnavailable]


def see_backlogs(
    settings: Settings, catalogue: Catalogue, lanes: Iterable[str] | None = None
) -> Seen:
    """Count lanes, or all of the catalogue, in one round trip a broker.

    The lanes of a broker that does not answer are left out, and the others told all the same.
    """
    return Seen(*ask_brokers(settings, catalogue.by_broker(lanes), read_backlogs))


def ask_brokers(
    settings: Settings,
    lanes: Mapping[str | None, list[str]],
    ask: "Callable[[redis.Redis, list[str]], Mapping[str, T]]",
) -> tuple[dict[str, T], list[BrokerUnavailable]]:
    """Ask each broker about its lanes: what was answered, and why some did not answer."""
    found, away = dict[str, T](), list[BrokerUnavailable]()
    for broker, names in lanes.items():
        try:
            with reaching(broker_url(settings, broker)):
                found |= ask(broker_client(settings, broker), names)
        except BrokerUnavailable as error:
            away.append(error)
    return found, away


def published_at_s(entry: str) -> float | None:
    """When a message says that it was published, since the epoch; None if it does not."""
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
        raise lane_full(lane, held, queue.max_length)
    share = memory_share(client)
    if share > watermark:
        raise broker_full(share, watermark)


def lane_full(lane: str, held: int, max_length: int) -> LaneFull:
    """The refusal of a lane that holds as much as it may."""
    return LaneFull(
        f"Queue {lane!r} holds {held} messages; its maxLength is {max_length}. Retry later, scale "
        "the lane up, or raise maxLength in the catalogue."
    )


def broker_full(share: float, watermark: float) -> BrokerFull:
    """The refusal of a Redis that has used so large a share of its memory."""
    return BrokerFull(
        f"Redis uses {share:.0%} of its maxmemory; new tasks are refused above {watermark:.0%} "
        "(LANEWAY_BROKER_MEMORY_WATERMARK). Retry later, drain the lanes, or raise maxmemory."
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
