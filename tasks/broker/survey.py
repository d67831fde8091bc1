"""What those who watch want to know of lanes and their Redis, in two round trips."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import (
    ask_brokers,
    ask_counts,
    published_at_s,
    take_counts,
)
from laneway.tasks.queues import Catalogue
from laneway.tasks.settings import Settings

DRAIN_REQUEUED = "drain_requeued"


@dataclass(frozen=True)
class LaneSurvey:
    """One lane. Counts are messages; ages are seconds by Redis's clock.

    Attributes:
        ready: by kombu's priority step, the one that goes first first.
        workers: those that hold a lease.
        oldest_age_s: of the oldest ready message; 0 where none waits, None where one tells no time
            of publishing, as a stock producer's does.
        dead_oldest_age_s: since the oldest dead letter died; 0 where there is none.
        drain_requeued: tasks that ran and were given back as a drain ran out of time, ever.
    """

    ready: Mapping[int, int]
    in_flight: int
    delayed: int
    dead: int
    workers: int
    oldest_age_s: float | None
    dead_oldest_age_s: float
    drain_requeued: int


@dataclass(frozen=True)
class Survey:
    """Lanes, and the memory of the Redis that holds them; `memory_limit_bytes` is 0 for none."""

    lanes: Mapping[str, LaneSurvey]
    memory_bytes: int
    memory_limit_bytes: int


def survey(client: "redis.Redis", lanes: Iterable[str], *, reads: bool = True) -> Survey:
    """Look at lanes of one Redis. Raises redis's errors.

    Args:
        client: of the Redis.
        lanes: their names.
        reads: whether to read the oldest messages for their ages; without, all are None.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.info("memory")
        (seconds, micros), memory = pipe.execute()
        now_s = seconds + micros / 1e6
        names = list(lanes)
        for lane in names:
            _ask(pipe, lane, now_s, reads=reads)
        answers = iter(pipe.execute() if names else ())
    found = {lane: _read(answers, now_s, reads=reads) for lane in names}
    return Survey(found, int(memory["used_memory"]), int(memory.get("maxmemory", 0)))


def survey_all(settings: Settings, catalogue: Catalogue) -> dict[str, LaneSurvey]:
    """Look at every lane of the catalogue; those of a broker that does not answer are left out.

    No message is read, and so no age known: the gateway, which asks, has no right to.

    Raises:
        BrokerUnavailable: none answers.
    """
    found, away = ask_brokers(settings, catalogue.by_broker(), _without_ages)
    if away and not found:
        raise away[0]
    return found


def _without_ages(client: "redis.Redis", lanes: list[str]) -> Mapping[str, LaneSurvey]:
    return survey(client, lanes, reads=False).lanes


def _ask(pipe: Any, lane: str, now_s: float, *, reads: bool) -> None:
    ask_counts(pipe, lane)
    if reads:
        for name in keys.ready_lists(lane):
            pipe.lindex(name, -1)
    pipe.zcount(keys.leases(lane), f"({now_s * 1000:.0f}", "+inf")
    pipe.zrange(keys.dead_letters(lane), 0, 0, withscores=True)
    pipe.hget(keys.tally(lane), DRAIN_REQUEUED)


def _read(answers: Iterator[Any], now_s: float, *, reads: bool) -> LaneSurvey:
    counts = take_counts(answers)
    oldest = [next(answers) for _ in keys.PRIORITY_STEPS] if reads else []
    workers, dead_oldest, drained = (next(answers) for _ in range(3))
    return LaneSurvey(
        ready=counts.ready,
        in_flight=counts.in_flight,
        delayed=counts.delayed,
        dead=counts.dead,
        workers=int(workers),
        oldest_age_s=_oldest_age_s(oldest, now_s) if reads else None,
        dead_oldest_age_s=max(0.0, now_s - float(dead_oldest[0][1]) / 1000) if dead_oldest else 0.0,
        drain_requeued=int(drained or 0),
    )


def _oldest_age_s(oldest: list[str | None], now_s: float) -> float | None:
    published = [published_at_s(entry) for entry in oldest if entry]
    known = [max(0.0, now_s - at_s) for at_s in published if at_s is not None]
    return max(known, default=0.0) if len(known) == len(published) else None


def tell_drained(client: "redis.Redis", lane: str, count: int) -> None:
    """Count tasks that a worker gave back half done as its drain ran out of time.

    Its own metrics end with it, before anybody reads them. Raises redis's errors.
    """
    client.hincrby(keys.tally(lane), DRAIN_REQUEUED, count)
