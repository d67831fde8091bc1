"""The attempts in flight, by lane and task."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

from laneway.observability import catalogue
from laneway.observability.scrape import Reading


@dataclass(frozen=True)
class Clock:
    """Time of day for what leaves the process, a steady clock for durations; both in seconds."""

    wall_s: Callable[[], float] = time.time
    steady_s: Callable[[], float] = time.monotonic


@dataclass(eq=False)
class Flight:
    """One attempt in flight. Times are of the steady clock."""

    queue: str
    task: str
    began_s: float
    accepted_s: float | None = field(default=None)

    def ran_s(self, now_s: float) -> float:
        """How long the attempt has held a slot."""
        return 0.0 if self.accepted_s is None else max(0.0, now_s - self.accepted_s)

    def age_s(self, now_s: float) -> float:
        """How long ago a slot took it, or it was handed over if none has."""
        since_s = self.began_s if self.accepted_s is None else self.accepted_s
        return max(0.0, now_s - since_s)


class RunningTable:
    """Who is in flight, and for how long slots were busy. Safe to use from many threads."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._now_s = steady_s
        self._lock = Lock()
        self._flights: set[Flight] = set()
        self._seen: set[tuple[str, str]] = set()
        self._busy_s: dict[str, float] = defaultdict(float)

    def enter(self, flight: Flight) -> None:
        """An attempt begins."""
        with self._lock:
            self._flights.add(flight)
            self._seen.add((flight.queue, flight.task))

    def leave(self, flight: Flight) -> float | None:
        """An attempt ends: how old it is, in seconds; None if it had ended before."""
        with self._lock:
            if flight not in self._flights:
                return None
            self._flights.remove(flight)
            now_s = self._now_s()
            self._busy_s[flight.queue] += flight.ran_s(now_s)
            return flight.age_s(now_s)

    def readings(self) -> Iterator[Reading]:
        """The gauges at this moment; lanes and tasks seen before read 0, not nothing."""
        with self._lock:
            now_s = self._now_s()
            flights, seen, busy_s = list(self._flights), list(self._seen), dict(self._busy_s)
        running = Counter((flight.queue, flight.task) for flight in flights)
        oldest_s = {queue: 0.0 for queue, _ in seen}
        for flight in flights:
            oldest_s[flight.queue] = max(oldest_s[flight.queue], flight.age_s(now_s))
            busy_s[flight.queue] = busy_s.get(flight.queue, 0.0) + flight.ran_s(now_s)
        for queue, task in seen:
            yield Reading(catalogue.RUNNING, running[queue, task], (queue, task))
        for queue, age_s in oldest_s.items():
            yield Reading(catalogue.RUNNING_OLDEST, age_s, (queue,))
            yield Reading(catalogue.SLOT_BUSY, busy_s.get(queue, 0.0), (queue,))
