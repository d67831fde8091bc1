"""Keeps as many pool processes as there are to be, and notices the end of each."""

import time
from collections.abc import Callable
from typing import Any

from celery import signals

from laneway.observability.logs import get_logger
from laneway.services.worker.pool.exits import exit_reason, tell_exit
from laneway.services.worker.pool.process import PoolProcess
from laneway.services.worker.pool.process_child import Recipe

logger = get_logger(__name__)

LOOK_S = 1.0

EXIT_LIMIT_S = 10.0
"""For a process that takes no more tasks to be gone: it may still send its last spans."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 10.0
"""Before a process is replaced that died while it started; doubled each time."""

EXPECTED_REASONS = ("exit", "recycled")


class Supervisor:
    """The children of one pool. `on_answers` and `on_end` are called with the child in question."""

    def __init__(
        self,
        recipe: Recipe,
        up_within_s: float,
        on_answers: Callable[[PoolProcess], None],
        on_end: Callable[[PoolProcess], None],
    ) -> None:
        self._recipe = recipe
        self._up_within_s = up_within_s
        self._on_answers, self._on_end = on_answers, on_end
        self._hub: Any = None
        self._timer: Any = None
        self._failures = 0
        self._resume_s = 0.0
        self.children: list[PoolProcess] = []
        self.wanted = 0
        self.replacing = True

    def register(self, hub: Any) -> None:
        """Listen to the children in this event loop; again after each of its resets."""
        self._hub = hub
        for child in self.children:
            self._listen(child)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = hub.call_repeatedly(LOOK_S, self.look)

    def fill(self) -> None:
        """Start what is missing, unless the last ones died at their start a moment ago."""
        while (
            self.replacing
            and len(self.children) < self.wanted
            and time.monotonic() >= self._resume_s
        ):
            self._start()

    def started(self) -> bool:
        """Whether all went well so far."""
        self.look()
        return self._failures == 0

    def note_up(self) -> None:
        """One has started, so that whatever was wrong with those before it is over."""
        self._failures, self._resume_s = 0, 0.0

    def look(self) -> None:
        """Reap what has ended, end what does not start or does not go, start what is missing."""
        now_s = time.monotonic()
        for child in tuple(self.children):
            if child.exit_code is not None:
                self.reap(child)
            elif not child.up and now_s - child.born_s > self._up_within_s:
                logger.error(
                    "a pool process did not start in time, and is replaced; raise "
                    "worker_proc_alive_timeout if its initialisation takes so long",
                    pid=child.pid,
                    limit_s=self._up_within_s,
                )
                child.kill()
            elif child.leaving and child.given and not child.said_goodbye:
                child.leaving_since_s = now_s  # it may finish what it runs
            elif child.leaving and now_s - child.leaving_since_s > EXIT_LIMIT_S:
                logger.warning("a pool process did not end, and is killed", pid=child.pid)
                child.kill()
        self.fill()

    def reap(self, child: PoolProcess) -> None:
        """A child may have ended: settle what it had, and replace it."""
        code = child.exit_code
        if code is None or child not in self.children:
            return  # an event of a descriptor that another child has got meanwhile
        self._forget(child)
        if not child.up:
            self._note_failure(child)
        try:
            self._on_end(child)
        finally:
            child.close()
            tell_exit(code)
            reason = exit_reason(code)
            if reason not in EXPECTED_REASONS and not child.condemned:
                logger.warning("a pool process died", pid=child.pid, reason=reason, exit_code=code)
            self.fill()

    def mute(self, child: PoolProcess) -> None:
        """It will say no more, and ends soon."""
        child.mark_leaving()
        if self._hub is None or child.answers_fd < 0:
            return
        self._hub.remove(child.answers_fd)
        if child.pid_fd is None:
            self._hub.call_later(FIRST_PAUSE_S, self.look)

    def await_writable(self, child: PoolProcess, write: Callable[[PoolProcess], None]) -> None:
        """Call `write` when its pipe takes more."""
        if self._hub is not None:
            self._hub.add_writer(child.tasks_fd, write, child)

    def forget_writer(self, child: PoolProcess) -> None:
        """Nothing waits to be written any more."""
        if self._hub is not None and child.tasks_fd >= 0:
            self._hub.remove(child.tasks_fd)

    def dismiss(self, child: PoolProcess) -> None:
        """Let it end after what it has begun."""
        self.forget_writer(child)
        child.dismiss()

    def _start(self) -> None:
        signals.worker_before_create_process.send(sender=self)
        taken = {child.index for child in self.children}
        index = next(number for number in range(self.wanted) if number not in taken)
        foreign = [fd for child in self.children for fd in child.fds()]
        try:
            child = PoolProcess(index, self._recipe, foreign)
        except OSError as error:
            self._failures += 1
            self._pause()
            logger.exception("no pool process could be started", error_type=type(error).__name__)
            return
        self.children.append(child)
        if self._hub is not None:
            self._listen(child)

    def _listen(self, child: PoolProcess) -> None:
        if not child.mute:
            self._hub.add_reader(child.answers_fd, self._on_answers, child)
        if child.pid_fd is not None:
            self._hub.add_reader(child.pid_fd, self.reap, child)

    def _forget(self, child: PoolProcess) -> None:
        """Before its descriptors are closed: the poller could not be told afterwards."""
        self.children.remove(child)
        if self._hub is None:
            return
        for fd in (child.tasks_fd, child.answers_fd, child.pid_fd):
            if fd is not None and fd >= 0:
                self._hub.remove(fd)

    def _note_failure(self, child: PoolProcess) -> None:
        self._failures += 1
        self._pause()
        logger.error(
            "a pool process died while it started",
            pid=child.pid,
            reason=exit_reason(child.exit_code),
            failures=self._failures,
        )

    def _pause(self) -> None:
        pause_s = min(FIRST_PAUSE_S * 2 ** (self._failures - 1), LONGEST_PAUSE_S)
        self._resume_s = time.monotonic() + pause_s
        if self._hub is not None:
            self._hub.call_later(pause_s, self.fill)
