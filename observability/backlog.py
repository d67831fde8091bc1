"""What lies in the broker, asked for at a scrape without ever holding the scrape up."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from threading import Event, Lock, Thread

from laneway.observability import catalogue
from laneway.observability.scrape import Reading

BACKLOG_METRICS = (
    catalogue.BROKER_UP,
    catalogue.QUEUE_DEPTH,
    catalogue.QUEUE_OLDEST_AGE,
    catalogue.QUEUE_UNACKED,
    catalogue.QUEUE_DELAYED,
    catalogue.DEAD_LETTERS,
)


@dataclass(frozen=True)
class LaneBacklog:
    """What one lane holds, in messages; the age is None where the oldest tells no time."""

    depth: int
    unacked: int
    dead_letters: int
    delayed: int = 0
    oldest_age_s: float | None = None


ReadBacklog = Callable[[], Mapping[str, LaneBacklog]]


@dataclass(frozen=True)
class _Answer:
    lanes: Mapping[str, LaneBacklog]
    at_s: float


class CachedBacklog:
    """The backlog by lane, asked for in a thread of its own.

    An answer serves `fresh_s`. A scrape waits for a new one for at most `wait_s`, then takes the
    last, unless it is older than `keep_s`: an old number is worse than none.
    """

    def __init__(
        self,
        read: ReadBacklog,
        *,
        fresh_s: float = 5.0,
        wait_s: float = 1.0,
        keep_s: float = 60.0,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
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
        if answer is None or self._now_s() - answer.at_s > self._keep_s:
            return
        for queue, lane in answer.lanes.items():
            yield Reading(catalogue.QUEUE_DEPTH, lane.depth, (queue,))
            yield Reading(catalogue.QUEUE_UNACKED, lane.unacked, (queue,))
            yield Reading(catalogue.QUEUE_DELAYED, lane.delayed, (queue,))
            yield Reading(catalogue.DEAD_LETTERS, lane.dead_letters, (queue,))
            if lane.oldest_age_s is not None:
                yield Reading(catalogue.QUEUE_OLDEST_AGE, lane.oldest_age_s, (queue,))

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
        up = False
        try:
            lanes = self._read()
            self._answer = _Answer(lanes, self._now_s())
            up = True
        except Exception:  # noqa: BLE001, S110 - the gauge that says 0 is the report
            pass
        with self._lock:
            self._up = up
            self._answered = None
        answered.set()
