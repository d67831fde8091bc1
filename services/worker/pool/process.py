"""One pool process, as its parent sees it: its pipes, its words, and the tasks it was given."""

import fcntl
import gc
import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

from billiard import get_context

from laneway.services.worker.pool.frames import Frame, FrameReader, Outbox
from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.pace import AHEAD_S, MOST_AHEAD
from laneway.services.worker.pool.process_child import ChildLoop, Recipe
from laneway.services.worker.pool.slots import (
    DONE,
    KEPT,
    REACHED,
    RECALLED,
    RUNNING,
    SOFT,
    Slot,
    fence,
)

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 18

MOST_BYTES = 1 << 20
"""Bytes of tasks that a process may hold ahead; a task larger than that travels alone."""

LOST_TEXT = "<not received>"
"""The result, for events, of a task that ended well in a process that died before it said so."""


class PoolProcess:
    """A forked child. Every method returns at once."""

    def __init__(self, index: int, recipe: Recipe, foreign_fds: Iterable[int]) -> None:
        self.index = index
        self._slot = Slot()
        theirs_to_read, self.tasks_fd = _wide_pipe()
        self.answers_fd, theirs_to_write = _wide_pipe()
        os.set_blocking(self.tasks_fd, False)
        os.set_blocking(self.answers_fd, False)
        self._reader, self.outbox = FrameReader(), Outbox()
        self.given: dict[int, Job] = {}
        self.load_s = 0.0
        self._bytes = 0
        self._last = 0
        self.tasks_given = 0
        self._most_tasks = recipe.max_tasks or 0
        self._fenced = False
        self.up = self.leaving = self.mute = self.closed = False
        self.pid_fd: int | None = None
        self._process: Any = None
        self.to_signal: int | None = None
        self.frozen = 0
        self.blocked = self.said_goodbye = self.condemned = False
        self.garbled = False
        self.suspect: tuple[int, bool] | None = None
        self.born_s = self.leaving_since_s = time.monotonic()
        loop = ChildLoop(recipe, self._slot, theirs_to_read, theirs_to_write)
        try:
            self._process = _fork(loop, index, [self.tasks_fd, self.answers_fd, *foreign_fds])
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs_to_read)
            os.close(theirs_to_write)
        self.pid: int = self._process.pid
        self.pid_fd = _pid_fd(self.pid)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it lives."""
        code: int | None = self._process.exitcode
        return code

    def fds(self) -> list[int]:
        """The parent's descriptors of it, which no other child shall keep."""
        own = [self.tasks_fd, self.answers_fd, self.pid_fd, self._process.sentinel]
        return [fd for fd in own if fd is not None and fd >= 0]

    # What it is given

    def takes(self, job: Job) -> bool:
        """Whether this task fits behind those it has."""
        if not self.up or self.leaving or self.closed or self.frozen:
            return False
        if self._most_tasks and self.tasks_given >= self._most_tasks:
            return False
        if not self.given:
            return True
        return (
            len(self.given) < MOST_AHEAD
            and self._last - next(iter(self.given)) < KEPT - 1
            and self.load_s + job.expected_s <= AHEAD_S
            and self._bytes + len(job.payload) <= MOST_BYTES
        )

    @property
    def runs_long(self) -> bool:
        """Whether the task it runs is known to take long, or not known at all."""
        return bool(self.given) and next(iter(self.given.values())).expected_s >= AHEAD_S

    def give(self, job: Job) -> None:
        """Put an encoded task into its outbox; `send` writes."""
        self._last += 1
        self.given[self._last] = job
        self.tasks_given += 1
        self.load_s += job.expected_s
        self._bytes += job.size
        self.outbox.put(self._last, job.kind, job.payload)
        job.payload = b""  # it may be large, and can be made again

    def send(self) -> bool:
        """Write what its pipe takes; whether all is written, or nobody reads any more."""
        try:
            return self.outbox.send(self.tasks_fd)
        except OSError:
            return True  # it is dead, or about to be; that is noticed elsewhere

    def take(self, number: int) -> Job | None:
        """The task of this number, which is this child's no longer."""
        job = self.given.pop(number, None)
        if job is None:
            return None
        self._settle(job)
        return job

    def _settle(self, job: Job) -> None:
        self._bytes -= job.size
        self.load_s = self.load_s - job.expected_s if self.given else 0.0

    def recall(self) -> list[Job]:
        """Take back what it has surely not begun, in order; see `slots`."""
        words = self._slot.words
        if not self.given or self._last <= words[REACHED]:
            return []
        words[RECALLED] = self._last
        fence(consented=self._fenced)
        reached = words[REACHED]
        numbers = [number for number in self.given if number > reached]
        self.outbox.drop_after(reached)
        jobs = [self.given.pop(number) for number in numbers]
        for job in jobs:
            self._settle(job)
        self.tasks_given -= len(jobs)
        return jobs

    def skipped(self, frame: Frame) -> list[Job]:
        """Those of whose recall we could not be sure, now that it says that it skipped them."""
        last = int(bytes(frame.payload))
        jobs = [self.take(number) for number in range(frame.number, last + 1)]
        back = [job for job in jobs if job is not None]
        self.tasks_given -= len(back)
        return back

    def not_begun(self) -> list[Job]:
        """Take from it, now that it is leaving or dead, all that it has not begun."""
        last = self._slot.words[RUNNING]
        jobs = [self.take(number) for number in tuple(self.given) if number > last]
        return [job for job in jobs if job is not None]

    def called_off(self) -> int | None:
        """The first of its tasks that is to be terminated."""
        numbers = (n for n, job in self.given.items() if job.terminated is not None)
        return next(numbers, None)

    # What it does

    def frames(self, *, everything: bool = False) -> Iterator[Frame]:
        """What it has said since the last time, as far as that has come.

        Args:
            everything: read on until there is no more, instead of once.
        """
        more = True
        while more and not self.mute and not self.closed:
            try:
                data = os.read(self.answers_fd, _READ_BYTES)
            except BlockingIOError:
                return
            self.mute = not data
            more = everything
            yield from self._reader.feed(data)

    def mark_up(self, frame: Frame) -> None:
        """It is ready for tasks."""
        self.up, self._fenced = True, bool(frame.number)

    def mark_leaving(self) -> None:
        """It takes no more tasks."""
        if not self.leaving:
            self.leaving, self.leaving_since_s = True, time.monotonic()

    def now(self) -> tuple[int, Job, float] | None:
        """The task that runs: number, job, and when it began."""
        words = self._slot.words
        number = words[RUNNING]
        job = self.given.get(number)
        if job is None or number <= words[DONE]:
            return None
        return number, job, self.began_s(number)

    def note_long(self, job: Job, elapsed_s: float) -> None:
        """It runs a task that takes longer than expected: it wants no more meanwhile."""
        self.load_s += elapsed_s - job.expected_s
        job.expected_s = elapsed_s

    def began_s(self, number: int) -> float:
        """When one of its last tasks began."""
        return float(self._slot.began[number % KEPT])

    def done_unsaid(self) -> list[int]:
        """Tasks that have ended well, and whose answers have not come. Read the answers first."""
        if self.garbled:
            return []  # among its answers that were lost may be others than good ones
        done = self._slot.words[DONE]
        return [number for number in self.given if number <= done]

    def spent_s(self, number: int) -> float:
        """How long a task took that has ended, at most: until another began, or until now."""
        running = self._slot.words[RUNNING]
        until_s = self.began_s(number + 1) if running > number else time.monotonic()
        return max(0.0, until_s - self.began_s(number))

    # What is done to it

    def warn(self, number: int) -> None:
        """Raise the soft limit in this task, if it still runs."""
        self._slot.words[SOFT] = number
        self.signal(signal.SIGUSR1)

    def signal(self, number: int) -> None:
        """Send it a signal. It is not reaped yet, so its pid is its own."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def end(self, number: int) -> None:
        """Send it a signal that ends it, so that nobody wonders about its end."""
        self.condemned = True
        self.signal(number)

    def kill(self) -> None:
        """SIGKILL, and to its own process group, if it has one: what its task has started."""
        if self.exit_code is not None:
            return
        self.condemned = True
        with suppress(ProcessLookupError):
            if os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                os.kill(self.pid, signal.SIGKILL)

    def dismiss(self) -> None:
        """Let it end when it has run what it has begun: it reads the end of its pipe."""
        self.mark_leaving()
        if self.tasks_fd >= 0:
            os.close(self.tasks_fd)
            self.tasks_fd = -1

    def close(self) -> None:
        """Give back what it took. It has ended."""
        self.closed = True
        for fd in (self.tasks_fd, self.answers_fd, self.pid_fd):
            if fd is not None and fd >= 0:
                os.close(fd)
        self.tasks_fd = self.answers_fd = -1
        self.pid_fd = None
        if self._process is not None:
            self._process.join()  # closes billiard's own pipe


def _fork(loop: ChildLoop, index: int, foreign_fds: list[int]) -> Any:
    """A process that Celery's code takes for one of billiard's pool."""
    process = get_context("fork").Process(target=loop.run, args=(foreign_fds,))
    process.name = process.name.replace("Process", "PoolWorker")
    process.daemon = True
    process.index = index
    # What is garbage here is never collected there: it may hold connections of ours.
    gc.freeze()
    try:
        process.start()
    finally:
        gc.unfreeze()
    return process


def _wide_pipe() -> tuple[int, int]:
    read, write = os.pipe()
    with suppress(OSError):  # beyond what the user may have; a narrow one does
        fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return read, write


def _pid_fd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None  # an old kernel: its end is noticed by looking
