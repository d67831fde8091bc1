"""What lies in the broker, asked for at a scrape without ever holding the scrape up."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event, Lock, Thread

from laneway.observability import catalogue
from laneway.observability.scrape import Reading

BACKLOG_METRICS = (
    catalogue.BROKER_UP,
    catalogue.BROKER_MEMORY,
    catalogue.BROKER_MEMORY_LIMIT,
    catalogue.PROBE_SUCCESS,
    catalogue.QUEUE_DEPTH,
    catalogue.QUEUE_OLDEST_AGE,
    catalogue.QUEUE_UNACKED,
    catalogue.QUEUE_DELAYED,
    catalogue.QUEUE_WORKERS,
    catalogue.DEAD_LETTERS,
    catalogue.DEAD_LETTER_AGE,
    catalogue.DRAIN_REQUEUED,
)


@dataclass(frozen=True)
class LaneBacklog:
    """What one lane holds, in messages; the age is None where the oldest tells no time.

    `depth` is by priority, as the label's text.
    """

    depth: Mapping[str, int]
    unacked: int
    dead_letters: int
    delayed: int = 0
    workers: int = 0
    oldest_age_s: float | None = None
    dead_letter_age_s: float = 0.0
    drain_requeued: int = 0

    def readings(self, queue: str) -> Iterable[Reading]:
        """Its gauges."""
        for priority, depth in self.depth.items():
            yield Reading(catalogue.QUEUE_DEPTH, depth, (queue, priority))
        yield Reading(catalogue.QUEUE_UNACKED, self.unacked, (queue,))
        yield Reading(catalogue.QUEUE_DELAYED, self.delayed, (queue,))
        yield Reading(catalogue.QUEUE_WORKERS, self.workers, (queue,))
        yield Reading(catalogue.DEAD_LETTERS, self.dead_letters, (queue,))
        yield Reading(catalogue.DEAD_LETTER_AGE, self.dead_letter_age_s, (queue,))
        yield Reading(catalogue.DRAIN_REQUEUED, self.drain_requeued, (queue,))
        if self.oldest_age_s is not None:
            yield Reading(catalogue.QUEUE_OLDEST_AGE, self.oldest_age_s, (queue,))


@dataclass(frozen=True)
class BrokerBacklog:
    """The lanes by name, and the memory of the Redis that holds them; None where there are several."""

    lanes: Mapping[str, LaneBacklog]
    memory_bytes: int | None = None
    memory_limit_bytes: int = 0


ReadBacklog = Callable[[], BrokerBacklog]


@dataclass(frozen=True)
class _Answer:
    backlog: BrokerBacklog
    at_s: float
    wall_s: float


class CachedBacklog:
    """The backlog by lane, asked for in a thread of its own.

    An answer serves `fresh_s`. A scrape waits for a new one for at most `wait_s`, then takes the
    last, unless it is older than `keep_s`: an old number is worse than none. `on_read` is told how
    many seconds each look took.
    """

    def __init__(
        self,
        read: ReadBacklog,
        *,
        fresh_s: float = 5.0,
        wait_s: float = 1.0,
        keep_s: float = 60.0,
        on_read: Callable[[float], None] = lambda _: None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read, self._on_read = read, on_read
        self._fresh_s, self._wait_s, self._keep_s = fresh_s, wait_s, keep_s
        self._now_s = monotonic_s
        self._lock = Lock()
        self._answer: _Answer | None = None
        self._answered: Event | None = None
        self._up = False

    def readings(self) -> Iterable[Reading]:
        """Whether the broker answers, and what it said last."""
        up = self._refresh()
        yield Reading(catalogue.BROKER_UP, float(up))
        answer = self._answer
        if answer is None:
            return
        yield Reading(catalogue.PROBE_SUCCESS, answer.wall_s)
        if self._now_s() - answer.at_s > self._keep_s:
            return
        backlog = answer.backlog
        if backlog.memory_bytes is not None:
            yield Reading(catalogue.BROKER_MEMORY, backlog.memory_bytes)
            yield Reading(catalogue.BROKER_MEMORY_LIMIT, backlog.memory_limit_bytes)
        for queue, lane in backlog.lanes.items():
            yield from lane.readings(queue)

    def _refresh(self) -> bool:
        with self._lock:
            if self._answer and self._up and self._now_s() - self._answer.at_s < self._fresh_s:
                return True
            if self._answered is None:
                self._answered = Event()
                Thread(target=self._ask, args=(self._answered,), daemon=True).start()
            answered = self._answered
        return answered.wait(self._wait_s) and self._up

    def _ask(self, answered: Event) -> None:
        up, began_s = False, self._now_s()
        try:
            backlog = self._read()
            self._answer = _Answer(backlog, self._now_s(), time.time())
            up = True
            self._on_read(self._now_s() - began_s)
        except Exception:  # noqa: BLE001, S110 - the gauge that says 0 is the report
            pass
        with self._lock:
            self._up = up
            self._answered = None
        answered.set()
