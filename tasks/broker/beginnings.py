"""STARTED, for tasks that run for longer than a moment.

Storing it takes a round trip, on which the task would wait, and a task of a millisecond has ended
before anybody can read it. So a thread of this process stores it for tasks that still run a moment
later, unless they have stored another state by then.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread, get_ident

AFTER_S = 0.02
"""How long a task runs before its beginning is told; it is seen within twice that."""


@dataclass
class _Beginning:
    """One task's. `at_s` is when it began, since the epoch."""

    store: Callable[[float], None]
    at_s: float = field(default_factory=time.time)
    began_s: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock)
    over: bool = False

    def tell(self) -> None:
        with self.lock:
            if not self.over:
                self.over = True
                self.store(self.at_s)


class Beginnings:
    """Of the tasks that this process runs, one at a time in each thread."""

    def __init__(self) -> None:
        self.wanted = False
        """Whether beginnings are left to this: a pool sets it that calls `end` after each task."""
        self.forget()

    def forget(self) -> None:
        """In a forked process, where neither the tasks run nor the thread."""
        self._waiting: dict[str, _Beginning] = {}
        self._current: dict[int, str] = {}
        self._thread: Thread | None = None
        self._awake, self._starting = Event(), Lock()

    def note(self, task_id: str, store: Callable[[float], None]) -> None:
        """A task has begun; `store` says so where results are kept, and raises nothing.

        It is called with the time of the beginning, in seconds since the epoch.
        """
        self._current[get_ident()] = task_id
        self._waiting[task_id] = _Beginning(store)
        if not self._awake.is_set():
            self._wake()

    def _wake(self) -> None:
        self._awake.set()
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="beginnings", daemon=True)
                self._thread.start()

    def drop(self, task_id: str) -> None:
        """The task is about to store another state: its beginning has been stored, or never will."""
        beginning = self._waiting.pop(task_id, None)
        if beginning is not None:
            with beginning.lock:
                beginning.over = True

    def end(self, *, well: bool) -> None:
        """What this thread ran is over, by itself or because it was ended.

        Of a task that ended by itself and stored no other state, this is the last.
        """
        task_id = self._current.pop(get_ident(), "")
        if well and task_id in self._waiting:
            self._waiting[task_id].tell()
        self.drop(task_id)

    def _run(self) -> None:
        while True:
            self._awake.wait()
            time.sleep(AFTER_S)
            # Before the look: what is noted from here on wakes it again.
            self._awake.clear()
            long_since_s = time.monotonic() - AFTER_S
            for task_id, beginning in tuple(self._waiting.items()):
                if beginning.began_s > long_since_s:
                    self._awake.set()
                    continue
                beginning.tell()
                if self._waiting.get(task_id) is beginning:
                    del self._waiting[task_id]


BEGINNINGS = Beginnings()
"""Those of this process."""

os.register_at_fork(after_in_child=BEGINNINGS.forget)
