"""The loop of a pool process: take tasks, run them in order, answer.

It replaces billiard's `Worker` and keeps what Celery's prefork promises to code that runs in it:
`process_initializer` and with it the signal `worker_process_init`, `worker_process_shutdown` at the
end, SIGINT ignored, SIGTERM and its like raised in the task as SystemExit, SIGUSR1 as
SoftTimeLimitExceeded.

A task that went well is answered with others, and counts as done from the word `done` on, even if
its answer is never sent. Any other outcome is sent first and done then. So when a process dies, its
parent knows of every task which it was: done well, done otherwise, running, not begun.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from billiard.common import reset_signals
from billiard.einfo import ExceptionInfo
from billiard.exceptions import SoftTimeLimitExceeded
from celery.concurrency.prefork import process_destructor, process_initializer

from laneway.observability.logs import get_logger
from laneway.services.worker.pool import calls
from laneway.services.worker.pool.exits import RECYCLED
from laneway.services.worker.pool.frames import Frame, FrameReader, pack
from laneway.services.worker.pool.slots import (
    DONE,
    KEPT,
    REACHED,
    RECALLED,
    RUNNING,
    SOFT,
    Slot,
    consent_to_fences,
)
from laneway.tasks.broker.beginnings import BEGINNINGS

logger = get_logger(__name__)

_READ_BYTES = 1 << 18

ANSWER_TOGETHER = 16
ANSWER_AFTER_S = 0.006
"""So many answers, or so much time, are put into one write while there is more to run."""


@dataclass(frozen=True)
class Recipe:
    """What every process of a pool is made with."""

    initargs: tuple[Any, ...]
    """The app and the worker's name, for Celery's `process_initializer`."""
    max_tasks: int | None
    max_memory_kib: int | None


class ChildLoop:
    """One pool process, from its fork to its end."""

    def __init__(self, recipe: Recipe, slot: Slot, tasks_fd: int, answers_fd: int) -> None:
        self._recipe = recipe
        self._slot = slot
        self._tasks_fd, self._answers_fd = tasks_fd, answers_fd
        self._reader = FrameReader()
        self._inbox: deque[Frame] = deque()
        self._answers: list[tuple[int, str | None, float, float]] = []
        self._first_answer_s = 0.0
        self._executed = 0
        self._armed = 0
        self._idle = False
        self._ending_signal = 0
        self._pid = 0

    def run(self, foreign_fds: Sequence[int]) -> NoReturn:
        """Serve until the parent wants no more; never returns.

        Args:
            foreign_fds: the parent's ends of pipes, which came along with the fork.
        """
        self._pid = os.getpid()
        code = os.EX_SOFTWARE
        try:
            for fd in foreign_fds:
                with suppress(OSError):
                    os.close(fd)
            self._prepare()
            code = self._serve()
        except SystemExit as error:
            code = _exit_code(error)
        except BaseException as error:
            with suppress(Exception):
                logger.exception("a pool process broke", error_type=type(error).__name__)
        finally:
            self._end(code)

    def _prepare(self) -> None:
        process_initializer(*self._recipe.initargs)
        # As billiard does, for the signals that end a process: but with a handler that knows
        # whether a task runs, and cannot tear an answer that is being written.
        reset_signals(handler=self._on_ending_signal, full=False)
        signal.signal(signal.SIGUSR1, self._on_soft_limit)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        BEGINNINGS.wanted = True
        self._write(pack(int(consent_to_fences()), calls.UP, b""))

    def _on_ending_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self._ending_signal:
            os._exit(os.EX_SOFTWARE)
        self._ending_signal = number
        if self._armed or self._idle:
            raise SystemExit(number)

    def _on_soft_limit(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        # The signal may be late, and another task be running by now.
        if self._armed and self._slot.words[SOFT] == self._armed:
            raise SoftTimeLimitExceeded

    def _serve(self) -> int:
        """Run what comes; the exit code."""
        words, began, inbox = self._slot.words, self._slot.began, self._inbox
        while not self._ending_signal:
            if not inbox:
                self._flush()
                if not self._receive():
                    return os.EX_OK
                continue
            number, kind, payload = inbox.popleft()
            words[REACHED] = number
            if words[RECALLED] >= number:
                self._skip(number)
                continue
            began_s = began[number % KEPT] = time.monotonic()
            words[RUNNING] = number
            if not self._execute(Frame(number, kind, payload), began_s):
                return os.EX_OK
            self._executed += 1
            if self._worn_out():
                return RECYCLED
        return -self._ending_signal

    def _receive(self) -> bool:
        """Wait for more tasks; False when there are none to come."""
        self._idle = True
        try:
            data = os.read(self._tasks_fd, _READ_BYTES)
        finally:
            self._idle = False
        self._inbox.extend(self._reader.feed(data))
        return bool(data)

    def _skip(self, number: int) -> None:
        """Pass over what was taken back, and say how far: the parent may not be sure."""
        recalled, last, inbox = self._slot.words[RECALLED], number, self._inbox
        while inbox and inbox[0].number <= recalled:
            last = inbox.popleft().number
        self._flush(pack(number, calls.SKIPPED, str(last).encode()))

    def _execute(self, task: Frame, began_s: float) -> bool:
        """Run a task and answer for it; False if the process is to end."""
        number, outcome, leave = task.number, None, False
        try:
            try:
                self._armed = number
                target, args, kwargs = calls.decode_call(task.kind, task.payload)
                outcome = (True, target(*args, **kwargs))
            finally:
                self._armed = 0
                BEGINNINGS.end(well=outcome is not None)
        except BaseException as error:  # noqa: BLE001 - whatever a task raises is its outcome
            if os.getpid() != self._pid:
                os._exit(_exit_code(error))
            if outcome is None:
                # Else a signal came when the task had just ended.
                if self._ending_signal:
                    raise SystemExit(self._ending_signal) from None  # it has no outcome
                outcome = (False, ExceptionInfo())
                leave = isinstance(error, SystemExit | KeyboardInterrupt)
                code = _exit_code(error)
        if os.getpid() != self._pid:
            os._exit(os.EX_OK)  # the task forked, and this is the copy
        self._answer(number, outcome, began_s)
        if leave:
            raise SystemExit(code)
        return True

    def _answer(self, number: int, outcome: tuple[bool, Any], began_s: float) -> None:
        ended, value = outcome
        now_s = time.monotonic()
        spent_s = now_s - began_s
        if not (ended and calls.is_plain(value)):
            payload = calls.encode_outcome(ended, value, spent_s)
            self._flush(pack(number, calls.OUTCOME, payload))
            self._slot.words[DONE] = number
            return
        answers = self._answers
        if not answers:
            self._first_answer_s = now_s
        answers.append((number, value[1], value[2], spent_s))
        self._slot.words[DONE] = number
        if len(answers) >= ANSWER_TOGETHER or now_s - self._first_answer_s > ANSWER_AFTER_S:
            self._flush()

    def _flush(self, more: bytes = b"") -> None:
        """Send the answers that wait, and then this frame."""
        if self._answers:
            payload = calls.encode_answers(self._answers)
            self._answers = []
            more = pack(0, calls.ANSWERS, payload) + more
        if more:
            self._write(more)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._answers_fd, view) :]

    def _worn_out(self) -> bool:
        recipe = self._recipe
        if recipe.max_tasks and self._executed >= recipe.max_tasks:
            return True
        if not recipe.max_memory_kib:
            return False
        used_kib = resident_kib()
        if used_kib <= recipe.max_memory_kib:
            return False
        logger.warning(
            "a pool process holds more memory than it may, and is replaced",
            used_kib=used_kib,
            limit_kib=recipe.max_memory_kib,
        )
        return True

    def _end(self, code: int) -> NoReturn:
        """Say so, let Celery's receivers clean up, and go."""
        try:
            self._idle = False
            with suppress(OSError):
                self._flush(pack(0, calls.LEAVING, b""))
            process_destructor(self._pid, code)
            for stream in (sys.stdout, sys.stderr):
                with suppress(Exception):
                    stream.flush()
            if self._ending_signal:
                # So that its parent sees the signal, and no number that stands for it.
                signal.signal(self._ending_signal, signal.SIG_DFL)
                os.kill(self._pid, self._ending_signal)
        finally:
            os._exit(code & 0xFF)


def _exit_code(error: BaseException) -> int:
    code = error.code if isinstance(error, SystemExit) else 1
    if code is None:
        return os.EX_OK
    return code if isinstance(code, int) else 1


def resident_kib() -> int:
    """What this process holds now; billiard goes by the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024
