"""A look at each child that runs something, many times a second, through its shared words.

It tells that a task has begun, warns and kills at the limits, takes back what waits behind a long
task, and settles what has ended without its answer having come. It replaces billiard's
`TimeoutHandler` and the messages by which its children say that they have begun.
"""

import signal
import time
from collections.abc import Iterable
from typing import Any, Protocol

from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.pace import LONG_S
from laneway.services.worker.pool.process import PoolProcess

TICK_S = 0.04


class Watched(Protocol):
    """The pool, as far as it is told of what is seen."""

    children: list[PoolProcess]

    def hear(self, child: PoolProcess, *, everything: bool = False) -> None:
        """Take note of what a child has said."""

    def end_unsaid(self, child: PoolProcess) -> None:
        """Settle what has ended well and will not, or not soon, be told by its child."""

    def requeue(self, jobs: Iterable[Job]) -> None:
        """Put tasks that have not begun before all others that wait."""


class Watch:
    """Looks while anything runs."""

    def __init__(self, pool: Watched) -> None:
        self._pool = pool
        self._hub: Any = None
        self._timer: Any = None

    def register(self, hub: Any) -> None:
        """Use this event loop; again after each of its resets, which may forget timers."""
        self._hub = hub
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.arm()

    def arm(self) -> None:
        """Look again soon, if there is something to look at."""
        if self._timer is not None or self._hub is None:
            return
        if any(child.given or child.frozen for child in self._pool.children):
            self._timer = self._hub.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        self._timer = None
        try:
            now_s = time.monotonic()
            for child in tuple(self._pool.children):
                self._look(child, now_s)
        finally:
            self.arm()

    def _look(self, child: PoolProcess, now_s: float) -> None:
        if child.frozen:
            self._judge(child)
        current = child.now()
        if current is None:
            return
        number, job, began_s = current
        job.accept(child.pid, began_s)
        elapsed_s = now_s - began_s
        if elapsed_s > LONG_S:
            child.note_long(job, elapsed_s)
            self._pool.requeue(child.recall())
            if child.done_unsaid():
                self._pool.hear(child, everything=True)
                self._pool.end_unsaid(child)
        self._check_limits(child, number, job, elapsed_s)

    def _check_limits(self, child: PoolProcess, number: int, job: Job, elapsed_s: float) -> None:
        hard = bool(job.hard_s) and elapsed_s >= (job.hard_s or 0)
        soft = bool(job.soft_s) and elapsed_s >= (job.soft_s or 0) and not job.soft_told
        if not hard and not soft:
            return
        # Twice the same, or it was a glimpse of a task that has only just begun: see `slots`.
        before, child.suspect = child.suspect, (number, hard)
        if before != child.suspect:
            return
        if not hard:
            job.reach_soft_limit()
            child.warn(number)
            return
        # It may be ending this very moment: stop it, and look again next time, when it has stopped.
        child.frozen = number
        child.signal(signal.SIGSTOP)

    def _judge(self, child: PoolProcess) -> None:
        number, child.frozen = child.frozen, 0
        self._pool.hear(child, everything=True)
        current = child.now()
        if current is None or current[0] != number:
            child.signal(signal.SIGCONT)
            return
        self._pool.requeue(child.recall())
        job = child.take(number)
        child.mark_leaving()
        child.kill()
        if job is not None:
            job.reach_hard_limit()
