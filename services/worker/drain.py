"""Stopping: finish what runs, give back the rest, lose nothing.

On SIGTERM (or SIGINT) the worker takes no more messages and finishes what runs. The wait ends
after the lane's `drainSeconds`, or at once on SIGQUIT: what still runs is then killed and its
message put back at the head of the lane, for another worker to run from the start.
"""

import os
import signal
from contextlib import suppress
from threading import Event, Thread
from types import FrameType

from celery.worker import state

from laneway.observability.logs import get_logger
from laneway.services.worker.lane import Lane

logger = get_logger(__name__)


class Drain:
    """The order of stopping. A second SIGTERM changes nothing."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._begun = Event()
        self._at_once = Event()

    def install(self) -> None:
        """Take over the signals. Call it from the main thread."""
        # A signal may come while any lock of this process is held: its handler sets flags, and
        # the thread does what logs and counts.
        Thread(target=self._drain, name="drain", daemon=True).start()
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGQUIT, self._on_quit)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._lane.pulse.draining = True
        state.should_stop = os.EX_OK
        self._begun.set()

    def _on_quit(self, number: int, frame: FrameType | None) -> None:
        self._at_once.set()
        self._on_stop(number, frame)

    def _drain(self) -> None:
        self._begun.wait()
        lane = self._lane
        lane.metrics.draining.set(1, queue=lane.name)
        running, limit_s = len(state.active_requests), lane.queue.drain_limit_s
        logger.info(
            "draining: no more messages are taken",
            queue=lane.name,
            running=running,
            limit_s=limit_s,
        )
        self._at_once.wait(limit_s)
        self._give_back()

    def _give_back(self) -> None:
        for request in tuple(state.active_requests):
            if request.worker_pid is None or request.worker_pid == os.getpid():
                continue  # a thread cannot be killed: the process's end gives its message back
            logger.warning(
                "out of time to drain: the task goes back to its queue",
                queue=self._lane.name,
                task=request.name,
                task_id=request.id,
            )
            with suppress(ProcessLookupError):
                os.kill(request.worker_pid, signal.SIGKILL)
