"""What those who watch want to know of lanes and their Redis, in two round trips."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import published_at_s
from laneway.tasks.broker.client import broker_client, broker_url, reaching
from laneway.tasks.errors import BrokerUnavailable
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
    found, away = dict[str, LaneSurvey](), list[BrokerUnavailable]()
    for broker, names in catalogue.by_broker().items():
        try:
            with reaching(broker_url(settings, broker)):
                found |= survey(broker_client(settings, broker), names, reads=False).lanes
        except BrokerUnavailable as error:
            away.append(error)
    if away and not found:
        raise away[0]
    return found


def _ask(pipe: Any, lane: str, now_s: float, *, reads: bool) -> None:
    for name in keys.ready_lists(lane):
        pipe.llen(name)
        if reads:
            pipe.lindex(name, -1)
    pipe.llen(keys.intake(lane))
    pipe.hlen(keys.claims(lane))
    pipe.hlen(keys.stock_unacked(lane))
    pipe.zcard(keys.delayed(lane))
    pipe.zcard(keys.dead_letters(lane))
    pipe.zcount(keys.leases(lane), f"({now_s * 1000:.0f}", "+inf")
    pipe.zrange(keys.dead_letters(lane), 0, 0, withscores=True)
    pipe.hget(keys.tally(lane), DRAIN_REQUEUED)


def _read(answers: Any, now_s: float, *, reads: bool) -> LaneSurvey:
    ready, ages = dict[int, int](), list[float | None]()
    for step in keys.PRIORITY_STEPS:
        ready[step] = int(next(answers))
        entry = next(answers) if reads else None
        if entry:
            at_s = published_at_s(entry)
            ages.append(None if at_s is None else max(0.0, now_s - at_s))
    ready[keys.PRIORITY_STEPS[0]] += int(next(answers))  # what was popped and is being recorded
    claims, stock, delayed, dead, workers = (int(next(answers)) for _ in range(5))
    oldest = next(answers)
    known = [age_s for age_s in ages if age_s is not None]
    return LaneSurvey(
        ready=ready,
        in_flight=claims + stock,
        delayed=delayed,
        dead=dead,
        workers=workers,
        oldest_age_s=max(known, default=0.0) if reads and len(known) == len(ages) else None,
        drain_requeued=int(next(answers) or 0),
        dead_oldest_age_s=max(0.0, now_s - float(oldest[0][1]) / 1000) if oldest else 0.0,
    )


def tell_drained(client: "redis.Redis", lane: str, count: int) -> None:
    """Count tasks that a worker gave back half done as its drain ran out of time.

    Its own metrics end with it, before anybody reads them. Raises redis's errors.
    """
    client.hincrby(keys.tally(lane), DRAIN_REQUEUED, count)
