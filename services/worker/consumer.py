"""The consumer: keeps what cannot run, shares rate limits, and tells how it is doing."""

from functools import partial
from typing import Any, ClassVar

from celery import bootsteps
from celery.utils.time import rate
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks

from laneway.services.worker.burial import bury_message
from laneway.services.worker.lane import TICK_S, Lane
from laneway.tasks.broker.rate_limit import SharedTokenBucket
from laneway.tasks.broker.revocations import remembered


class LaneConsumer(Consumer):
    """Celery's Consumer for one lane. `lane` is set once, when the worker starts."""

    lane: ClassVar[Lane]

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for Redis as long as it takes, and say so meanwhile."""
        pulse = self.lane.pulse
        pulse.waiting_for_broker = True
        self.consuming(False)
        connected = super().ensure_connected(conn)
        if self.restart_count > 0:
            self.lane.metrics.broker_reconnects.inc()
        pulse.tick()
        pulse.waiting_for_broker = False
        return connected

    def consuming(self, now: bool) -> None:
        """Note whether messages are taken."""
        self.lane.pulse.consuming = now
        self.lane.metrics.consuming.set(int(now), queue=self.lane.name)

    def bucket_for_task(self, type: Any) -> SharedTokenBucket | None:  # noqa: A002 - Celery's name
        """A rate limit that holds across every worker of this Redis."""
        per_s = rate(getattr(type, "rate_limit", None))
        if not per_s:
            return None
        limited = self.lane.metrics.rate_limited
        count = partial(limited.inc, queue=self.lane.name, task=type.name)
        return SharedTokenBucket(self.lane.client, type.name, per_s, on_wait=count)

    def update_strategies(self) -> None:
        """Learn what runs here, and what was called off while nobody listened."""
        super().update_strategies()
        for name in list(self.strategies):
            if not name.startswith("celery.") and not self.lane.queue.admits(name):
                del self.strategies[name]
        state.revoked.update(remembered(self.lane.client))

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Not a Celery message at all."""
        self._bury(message, "malformed envelope")
        super().on_unknown_message(body, message)

    def on_unknown_task(self, body: Any, message: Any, exc: Any) -> None:
        """A task nobody defined, or one that this lane does not admit."""
        self._bury(message, "unknown task")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Any) -> None:
        """An envelope whose fields make no sense, or of a content type that is refused."""
        self._bury(message, "invalid task")
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Any) -> None:
        """A body that cannot be decoded."""
        self._bury(message, "undecodable body")
        super().on_decode_error(message, exc)

    def _bury(self, message: Any, reason: str) -> None:
        bury_message(self.lane, message, reason, worker=self.hostname)


class PulseStep(bootsteps.StartStopStep):
    """Ticks while the event loop turns, and knows whether the lane is consumed."""

    requires = (Tasks,)

    def start(self, c: LaneConsumer) -> None:
        """The consumer is connected and asks for messages from here on."""
        pulse = c.lane.pulse
        pulse.tick()
        c.consuming(True)
        c.timer.call_repeatedly(TICK_S, pulse.tick)

    def stop(self, c: LaneConsumer) -> None:
        """The connection is gone, or the worker stops."""
        c.consuming(False)
