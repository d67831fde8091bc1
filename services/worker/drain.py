"""Stopping: finish what runs, give back the rest, lose nothing.

On SIGTERM (or SIGINT) the worker takes no more messages, gives back at once those it holds for
later, and finishes what runs; its event loop turns on meanwhile, so that results, limits and
acknowledgements are handled as ever. The wait ends after the lane's `drainSeconds`, or at once on
SIGQUIT: what still runs is then killed and its message put back at the head of the lane, for
another worker to run from the start.
"""

import os
import signal
import time
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import Any

from celery import signals
from celery.apps.worker import Worker
from celery.worker import state
from celery.worker.control import Panel

from laneway.observability.logs import get_logger
from laneway.services.worker.lane import Lane

logger = get_logger(__name__)

KILL_AGAIN_S = 0.5
"""A task may be on its way to its process when time is up: look again."""

LAST_WORDS_S = 15.0
"""For the pool to notice the killed; then the worker ends whatever it still waits for."""


class Drain:
    """The order of stopping. A second SIGTERM changes nothing."""

    def __init__(self, lane: Lane, worker: Worker) -> None:
        self._lane = lane
        self._worker = worker
        # Its put may interrupt itself, which an Event's set may not: one signal can come upon another.
        self._signals: SimpleQueue[int] = SimpleQueue()
        self._begun = False

    def install(self) -> None:
        """Take over the signals. Call it from the main thread."""
        # A signal may come while any lock of this process is held: its handler sets flags, and
        # the thread does what logs and counts.
        Thread(target=self._drain, name="drain", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        # Celery's own order of stopping renews no lease while what runs goes on.
        Panel.data["shutdown"] = _on_shutdown

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        self._lane.pulse.draining = True
        if not self._lane.pulse.consuming and not self._begun:
            state.should_stop = os.EX_OK  # no event loop turns yet, or none without Redis
        self._begun = True
        self._signals.put(number)

    def _drain(self) -> None:
        first = self._signals.get()
        lane = self._lane
        lane.metrics.draining.set(1, queue=lane.name)
        running, limit_s = len(state.active_requests), lane.queue.drain_limit_s
        logger.info(
            "draining: no more messages are taken",
            queue=lane.name,
            running=running,
            limit_s=limit_s,
        )
        how = "Cold" if first == signal.SIGQUIT else "Warm"
        name = signal.Signals(first).name
        signals.worker_shutting_down.send(
            sender=self._worker.hostname, sig=name, how=how, exitcode=os.EX_OK
        )
        self._worker.hub.call_soon(self._worker.consumer.stop_taking)
        if first != signal.SIGQUIT:
            self._wait_for_quit(limit_s)
        self._end()

    def _wait_for_quit(self, limit_s: float) -> None:
        """Until SIGQUIT, or the lane's time is over."""
        deadline_s = time.monotonic() + limit_s
        with suppress(Empty):
            while (
                self._signals.get(timeout=max(0.0, deadline_s - time.monotonic())) != signal.SIGQUIT
            ):
                continue

    def _end(self) -> None:
        """Give back what runs until the process is gone."""
        told: set[str] = set()
        for _ in range(int(LAST_WORDS_S / KILL_AGAIN_S)):
            # The event loop changes the set meanwhile: what is missed now is met next time.
            with suppress(RuntimeError):
                for request in tuple(state.active_requests):
                    self._give_back(request, told)
            time.sleep(KILL_AGAIN_S)
        state.should_stop = os.EX_OK

    def _give_back(self, request: Any, told: set[str]) -> None:
        if request.worker_pid is None:
            return
        if request.id not in told:
            told.add(request.id)
            logger.warning(
                "out of time to drain: the task goes back to its queue",
                queue=self._lane.name,
                task=request.name,
                task_id=request.id,
            )
        if request.worker_pid == os.getpid():
            self._worker.pool.abandoned = True  # a thread cannot be killed: its process ends
            self._worker.hub.call_soon(request.give_back)
            return
        with suppress(ProcessLookupError):
            os.kill(request.worker_pid, signal.SIGKILL)


def _on_shutdown(state: Any, **_: Any) -> dict[str, str]:
    """The remote command `shutdown`."""
    del state
    os.kill(os.getpid(), signal.SIGTERM)
    return {"ok": "draining"}
