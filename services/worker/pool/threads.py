"""The pool of threads, with its outcomes told in the event loop.

It replaces `celery.concurrency.thread.TaskPool`, which calls back in its own threads: the worker's
connection is then used by several at once, and an event loop that sleeps does not hear that there
is room again. Here a thread puts what it has to say into a queue and wakes the loop through a file
descriptor, once for however much has gathered.

As with Celery's threads there are no limits and no `terminate`: a thread cannot be ended. But
whatever a task raises, SystemExit and MemoryError among it, is told as its outcome, once.
"""

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.concurrency.base import BasePool

from laneway.services.worker.pool.calls import error_info
from laneway.services.worker.pool.face import Running, no_one_waits
from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.pace import AHEAD_S, LONG_S, Pace
from laneway.services.worker.pool.stopping import turn_while
from laneway.tasks.broker.beginnings import BEGINNINGS


class ThreadPool(BasePool):
    """A Celery pool; see `face.Pool` for what it offers beyond that."""

    body_can_be_buffer = True
    signal_safe = False

    abandoned = False
    """Whether threads still run what was given back: the process is to end without them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_room = no_one_waits
        self._pace = Pace()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._held = 0
        self._current: dict[int, tuple[Job, float]] = {}
        self._said: deque[Callable[[], None]] = deque()
        self._woken = False
        self._bell = -1
        self._threads: list[threading.Thread] = []
        self._hub: Any = None

    def on_start(self) -> None:
        """Start the threads."""
        BEGINNINGS.wanted = True
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        for number in range(1, self.limit + 1):
            thread = threading.Thread(target=self._work, name=f"pool-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def register_with_event_loop(self, loop: Any) -> None:
        """Tell what becomes of tasks in this event loop; again after each of its resets."""
        self._hub = loop
        loop.add_reader(self._bell, self._on_bell)

    def apply_async(
        self, target: Any, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Job | None:
        """Hand over a task; None when the pool takes no more."""
        if self._state != self.RUN:
            return None
        options.setdefault("callbacks_propagate", self.callbacks_propagate)
        job = Job(target, args, kwargs, options, on_terminate=_cannot_be_ended)
        self._held += 1
        self._jobs.put(job)
        return job

    def room(self) -> int:
        """How many more tasks it would take now."""
        if self._state != self.RUN:
            return 0
        long = self._long()
        return max(0, self._pace.capacity(self.limit - long) - (self._held - long))

    def _long(self) -> int:
        """How many threads run a task that takes long, or of which that is not known."""
        long_since_s = time.monotonic() - LONG_S
        return sum(
            began_s < long_since_s or self._pace.expected_s(job.name) >= AHEAD_S
            for job, began_s in tuple(self._current.values())
        )

    def withdraw(self, older_than_s: float = 0.0) -> list[str]:
        """Take back what no thread has begun; see `face.Pool`."""
        before_s = time.monotonic() - older_than_s
        waiting = []
        with suppress(Empty):
            while True:
                waiting.append(self._jobs.get_nowait())
        taken = []
        for job in waiting:
            if job is not None and job.handed_over_s <= before_s:
                taken.append(job.correlation_id or "")
            else:
                self._jobs.put(job)
        self._held -= len(taken)
        return taken

    def running(self) -> list[Running]:
        """What runs at this moment."""
        pid = os.getpid()
        current = tuple(self._current.values())
        return [Running(job.correlation_id, pid, began_s) for job, began_s in current]

    def refresh(self) -> None:
        """Tell now what has begun and ended."""
        while self._said:
            self._said.popleft()()

    def alive(self) -> int:
        """How many threads there are."""
        return len(self._threads)

    def pids(self) -> tuple[int, ...]:
        """None: its threads are the worker's."""
        return ()

    def flush(self) -> None:
        """The broker was lost, and will deliver anew whatever has not begun."""
        self.withdraw()

    def on_stop(self) -> None:
        """Finish what runs, unless it was given back; the rest goes back with its channel."""
        self._state = self.CLOSE
        self.withdraw()
        for _ in self._threads:
            self._jobs.put(None)
        if not self.abandoned:
            turn_while(lambda: self._held > 0 and not self.abandoned, self._turn, self._hub)

    def on_terminate(self) -> None:
        """Take no more, and wait for nothing."""
        self.withdraw()
        for _ in self._threads:
            self._jobs.put(None)

    # In the threads

    def _work(self) -> None:
        ident = threading.get_ident()
        while True:
            job = self._jobs.get()
            if job is None:
                return
            if job.expired():
                self._say(partial(self._expire, job))
                continue
            began_s = time.monotonic()
            self._current[ident] = job, began_s
            self._say(partial(job.accept, os.getpid(), began_s))
            tell = _run(job)
            del self._current[ident]
            self._say(partial(self._settle, job, tell, time.monotonic() - began_s))

    def _say(self, what: Callable[[], None]) -> None:
        if self._hub is None:
            what()  # no event loop, as with transports that have none: as Celery's threads do
            return
        self._said.append(what)
        if not self._woken:
            self._woken = True
            os.eventfd_write(self._bell, 1)

    # In the event loop

    def _on_bell(self) -> None:
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        # Before the queue is read: what is added from here on rings again.
        self._woken = False
        self.refresh()
        if self.room():
            self.on_room()

    def _expire(self, job: Job) -> None:
        self._held -= 1
        job.expire()

    def _settle(self, job: Job, tell: Callable[[], None], spent_s: float) -> None:
        self._held -= 1
        self._pace.observe(job.name, spent_s)
        tell()

    def _turn(self, wait_s: float) -> None:
        select.select([self._bell], [], [], wait_s)
        self._on_bell()

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        return info | {"threads": len(self._threads)}


def _run(job: Job) -> Callable[[], None]:
    """Run a task, and how to tell its outcome."""
    ended = False
    try:
        value = job.target(*job.args, **job.kwargs)
        ended = True
    except Exception:  # noqa: BLE001 - whatever a task raises is its outcome
        return partial(job.fail, ExceptionInfo())
    except BaseException as error:  # noqa: BLE001 - for a process this would be its end
        lost = WorkerLostError(repr(error)).with_traceback(error.__traceback__)
        return partial(job.fail, error_info(lost))
    finally:
        BEGINNINGS.end(well=ended)
    return partial(job.succeed, value)


def _cannot_be_ended() -> None:
    """A thread cannot be ended; what waits in the queue is seen by the task's own check."""
