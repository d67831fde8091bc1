"""The ledger: what was accepted, what began and ended, and what follows from it.

It is kept in a Redis of its own, never the one under fault. Producers write what they were told
is accepted; tasks write each start and each end (`task_modules/ledger_tasks.py`); the faults note
what they cut. The verdict follows from these three alone and asks no worker.
"""

import threading
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from redis_server import RedisServer, running_redis

EVENTS_KEY = "events"
ACCEPTED_KEY = "accepted"

ACK_GRACE_S = 1.0


@dataclass
class Run:
    """One attempt of a task, as it wrote itself. Times are CLOCK_MONOTONIC."""

    task_id: str
    worker: str
    pid: int
    started_s: float
    ended_s: float | None = None
    failed: bool = False
    """Whether it ended with an error, which is an outcome too; `ended_s` is of those that did not."""


@dataclass(frozen=True)
class Cut:
    """A fault ended, or hid from Redis, what a worker (or one process of it) ran.

    `until_s` is later than `at_s` where it lasted: what began meanwhile was cut as well.
    """

    worker: str
    at_s: float
    until_s: float
    pid: int | None = None
    grace_s: float = ACK_GRACE_S
    """A run that ended so shortly before may not have been acknowledged yet."""

    def hit(self, run: Run) -> bool:
        """Whether the run was in flight: begun, and not surely acknowledged."""
        return (
            run.worker == self.worker
            and not run.failed
            and self.pid in (None, run.pid)
            and run.started_s <= self.until_s
            and (run.ended_s is None or run.ended_s >= self.at_s - self.grace_s)
        )


@dataclass(frozen=True, order=True)
class Recovery:
    """From a cut of a worker to the next start of a task that was in flight there."""

    seconds: float
    worker: str
    at_s: float


@dataclass(frozen=True)
class Verdict:
    """What became of everything. Recoveries are in order, the shortest first."""

    accepted: int
    ran: int
    lost: tuple[str, ...]
    repeated_in_flight: int
    repeated_without_cause: int
    attempts: int
    recoveries: tuple[Recovery, ...]

    @property
    def recoveries_s(self) -> tuple[float, ...]:
        """How long each took."""
        return tuple(recovery.seconds for recovery in self.recoveries)


def judge(
    accepted: Iterable[str], runs: Iterable[Run], cuts: Iterable[Cut], dead: Iterable[str]
) -> Verdict:
    """The verdict on ids that were accepted, from all runs, cuts and ids among dead letters."""
    by_id: dict[str, list[Run]] = {}
    for run in runs:
        by_id.setdefault(run.task_id, []).append(run)
    ends = {task_id: [r for r in mine if r.ended_s is not None] for task_id, mine in by_id.items()}
    done = {task_id for task_id, mine in ends.items() if mine}
    told = list(dict.fromkeys(accepted))
    cuts_of: dict[str, list[Cut]] = {}
    for cut in cuts:
        cuts_of.setdefault(cut.worker, []).append(cut)
    accounted = done | set(dead)
    in_flight = without_cause = 0
    for mine in ends.values():
        if len(mine) > 1:
            excused = min(len(mine) - 1, sum(_was_hit(run, cuts_of) for run in mine))
            in_flight += excused
            without_cause += len(mine) - 1 - excused
    return Verdict(
        accepted=len(told),
        ran=len(done),
        lost=tuple(task_id for task_id in told if task_id not in accounted),
        repeated_in_flight=in_flight,
        repeated_without_cause=without_cause,
        attempts=sum(len(mine) for mine in by_id.values()),
        recoveries=tuple(sorted(_recoveries(by_id, cuts_of))),
    )


def percentile(values: Iterable[float], share: float) -> float | None:
    """The smallest value that at least this share of them does not exceed; None of none."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(0, ceil(share * len(ordered)) - 1)]


def _was_hit(run: Run, cuts_of: dict[str, list[Cut]]) -> bool:
    return any(cut.hit(run) for cut in cuts_of.get(run.worker, ()))


def _recoveries(by_id: dict[str, list[Run]], cuts_of: dict[str, list[Cut]]) -> Iterator[Recovery]:
    """For each run that was in flight at a cut, and began anew: how long that took."""
    for mine in by_id.values():
        starts = sorted(run.started_s for run in mine)
        for run in mine:
            cut = next((c for c in cuts_of.get(run.worker, ()) if c.hit(run)), None)
            if cut is not None:
                since_s = max(cut.at_s, run.started_s)
                later = bisect_right(starts, since_s)
                if later < len(starts):
                    yield Recovery(starts[later] - since_s, run.worker, since_s)


class Ledger:
    """The book itself. Every method may be called by any thread."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.cuts: list[Cut] = []
        self._client = server.client()
        self._lock = threading.Lock()
        self._read_events = self._read_accepted = 0
        self._accepted: dict[str, None] = {}
        self._runs: list[Run] = []
        self._open: dict[tuple[str, int], list[Run]] = {}
        self._done: set[str] = set()
        self._workers: set[str] = set()

    @property
    def url(self) -> str:
        """Where tasks write."""
        return self.server.url

    def accept(self, *task_ids: str) -> None:
        """Write down what a producer was told is accepted."""
        if task_ids:
            self._client.rpush(ACCEPTED_KEY, *task_ids)

    def cut(
        self,
        worker: str,
        since_s: float | None = None,
        pid: int | None = None,
        grace_s: float = ACK_GRACE_S,
    ) -> None:
        """Write down that a worker, or one process of it, was cut now, or from `since_s` on."""
        now = time.monotonic()
        at_s = now if since_s is None else since_s
        self.cuts.append(Cut(worker, at_s, now, pid, grace_s))

    def accepted(self) -> list[str]:
        """All accepted ids, in order."""
        with self._lock:
            self._read()
            return list(self._accepted)

    def runs(self) -> list[Run]:
        """Every run so far, in the order of the starts' writing."""
        with self._lock:
            self._read()
            return list(self._runs)

    def under_way(self) -> list[Run]:
        """Runs that have begun and not ended, so far as they could say."""
        with self._lock:
            self._read()
            return [run for runs in self._open.values() for run in runs]

    def missing(self) -> set[str]:
        """Accepted, and not done."""
        with self._lock:
            self._read()
            return self._accepted.keys() - self._done

    def count(self) -> tuple[int, int]:
        """How many runs have begun, and how many tasks are done."""
        with self._lock:
            self._read()
            return len(self._runs), len(self._done)

    def has_begun(self, worker: str) -> bool:
        """Whether a worker has begun a task."""
        with self._lock:
            self._read()
            return worker in self._workers

    def verdict(self, dead: Iterable[str] = ()) -> Verdict:
        """What follows from the book now; `dead` are the ids among the dead letters."""
        return judge(self.accepted(), self.runs(), self.cuts, dead)

    def close(self) -> None:
        """Close its own connection."""
        self._client.close()

    def _read(self) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.lrange(ACCEPTED_KEY, self._read_accepted, -1)
            pipe.lrange(EVENTS_KEY, self._read_events, -1)
            accepted, lines = pipe.execute()
        self._read_accepted += len(accepted)
        self._read_events += len(lines)
        self._accepted.update(dict.fromkeys(accepted))
        for line in lines:
            self._enter(line)

    def _enter(self, line: str) -> None:
        event, task_id, at_s, worker, pid = line.split(" ")
        place = (task_id, int(pid))
        if event == "start":
            run = Run(task_id, worker, int(pid), float(at_s))
            self._runs.append(run)
            self._open.setdefault(place, []).append(run)
            self._workers.add(worker)
            return
        runs = self._open[place]
        run = runs.pop()
        if event == "done":
            run.ended_s = float(at_s)
            self._done.add(task_id)
        else:
            run.failed = True
        if not runs:
            del self._open[place]


@contextmanager
def open_ledger(folder: Path) -> Iterator[Ledger]:
    """A ledger in a Redis process of its own."""
    with running_redis(folder, guarded=False) as server:
        ledger = Ledger(server)
        yield ledger
        ledger.close()
