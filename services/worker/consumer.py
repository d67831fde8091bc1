"""The consumer: keeps what cannot run, shares rate limits, and tells how it is doing."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import redis
from celery import bootsteps
from celery.app.task import Context
from celery.exceptions import InvalidTaskError
from celery.utils.time import rate
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from kombu.exceptions import ContentDisallowed

from laneway.observability.logs import get_logger
from laneway.services.worker.burial import bury_entry, bury_message
from laneway.services.worker.lane import STORE_ERRORS, TICK_S, Lane
from laneway.services.worker.reception import has_arguments, is_task, keep_aside
from laneway.tasks.app import CELERYS_OWN, runs_on
from laneway.tasks.broker.client import reaching
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.broker.leases import RENEWALS, renew
from laneway.tasks.broker.rate_limit import SharedTokenBucket
from laneway.tasks.broker.revocations import remembered
from laneway.tasks.errors import BrokerUnavailable

logger = get_logger(__name__)

DRAIN_POLL_S = 0.1
MALFORMED = "malformed envelope"
NO_ARGUMENTS = "the body is not [args, kwargs, embed]: publish the task with a Celery client"
UNFIT_BROKER = "this Redis is not fit to hold work"


class LaneConsumer(Consumer):
    """Celery's Consumer for one lane. `lane` is set once, when the worker starts."""

    lane: ClassVar[Lane]
    _inspected = False

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for Redis as long as it takes, and say so meanwhile."""
        pulse = self.lane.pulse
        if pulse.draining:
            state.should_stop = os.EX_OK
        state.maybe_shutdown()
        pulse.waiting_for_broker = True
        self.consuming(False)
        self._tell_if_away()
        keep_aside(conn, self._bury_entry)
        connected = super().ensure_connected(conn)
        if self.restart_count > 0:
            self.lane.metrics.broker_reconnects.inc()
        if not self._inspected:
            self._tell_findings()
        pulse.tick()
        pulse.waiting_for_broker = False
        return connected

    def _tell_if_away(self) -> None:
        try:
            with reaching(self.app.settings.broker, "The worker waits for it."):
                self.lane.client.ping()
        except BrokerUnavailable as away:
            logger.warning("waiting for Redis", cure=str(away))

    def _tell_findings(self) -> None:
        """Say once what makes this Redis unfit to hold work."""
        try:
            findings = inspect_broker(self.lane.client)
        except redis.exceptions.RedisError:
            return  # gone again, or not allowed to ask: the work goes on
        self._inspected = True
        for finding in findings:
            if finding.level == "ok":
                continue
            tell = logger.error if finding.level == "error" else logger.warning
            tell(UNFIT_BROKER, check=finding.check, found=finding.found, cure=finding.cure)

    def renew_leases(self) -> None:
        """Keep what this worker holds, running or waiting, from being given to another."""
        consumer = self.task_consumer
        if consumer is None:
            return
        tags = list(consumer.channel.qos._delivered)  # noqa: SLF001 - kombu shows it nowhere else
        try:
            renew(self.lane.client, self.lane.name, tags)
        except redis.exceptions.RedisError as error:
            logger.warning("leases were not renewed", error_type=type(error).__name__)

    def consuming(self, now: bool) -> None:
        """Note whether messages are taken."""
        self.lane.pulse.consuming = now
        self.lane.metrics.consuming.set(int(now), queue=self.lane.name)

    def stop_taking(self) -> None:
        """Take no more messages, give back those that wait, and end with the last that runs.

        Called in the event loop, which turns on meanwhile. Celery's own order of stopping closes
        the pool first, and would drop what is on its way to a process.
        """
        if self.task_consumer is None:
            return  # Redis is away: `ensure_connected` ends the worker
        self.consuming(False)
        # A message that Redis sends in answer to the last request has no taker now, and goes back.
        self.task_consumer.cancel()
        for request in self._waiting():
            request.reject(requeue=True)
            state.task_ready(request)
        self.timer.call_repeatedly(DRAIN_POLL_S, self._stop_when_done)

    def _waiting(self) -> list[Any]:
        """Requests that no process has been given: prefetched, delayed, or over a rate limit."""
        held = [r for r in state.reserved_requests if r.attempt is None]
        if self.controller.semaphore:
            self.controller.semaphore.clear()
        for bucket in filter(None, self.task_buckets.values()):
            held += [request for request, _ in bucket.contents]
            bucket.clear_pending()
        for request in tuple(state.scheduled_requests):
            self.timer.cancel(request._eta_timer_entry)  # noqa: SLF001 - kept nowhere else
            held.append(request)
        return list({id(request): request for request in held}.values())

    def _stop_when_done(self) -> None:
        if not state.reserved_requests:
            state.should_stop = os.EX_OK

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
            if not name.startswith(CELERYS_OWN) and not runs_on(self.app, name, self.lane.queue):
                del self.strategies[name]
        state.revoked.update(remembered(self.lane.client))

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Celery's own, for what is a task at all."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> None:
            if not is_task(message):
                self.on_unknown_message(None, message)
            elif not has_arguments(message):
                self.on_invalid_task(None, message, InvalidTaskError(NO_ARGUMENTS))
            else:
                handle(message)

        return on_task_received

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """Not a Celery message at all."""
        self._bury(message, MALFORMED)
        super().on_unknown_message(body, message)

    def on_unknown_task(self, body: Any, message: Any, exc: Any) -> None:
        """A task nobody defined, or one that this lane does not admit."""
        self._bury(message, "unknown task")
        super().on_unknown_task(body, message, exc)

    def on_invalid_task(self, body: Any, message: Any, exc: Any) -> None:
        """An envelope whose fields make no sense, or of a content type that is refused."""
        refused = isinstance(exc, ContentDisallowed)
        self._bury(message, "refused content type" if refused else "invalid task")
        self._fail(message, exc)
        super().on_invalid_task(body, message, exc)

    def on_decode_error(self, message: Any, exc: Any) -> None:
        """A body that cannot be decoded."""
        self._bury(message, "undecodable body")
        self._fail(message, exc)
        super().on_decode_error(message, exc)

    def _fail(self, message: Any, error: Exception) -> None:
        """Let who waits for the result know: Celery leaves it pending."""
        task_id = message.headers.get("id")
        if not isinstance(task_id, str):
            return
        try:
            self.app.backend.mark_as_failure(task_id, error, request=Context(message.headers))
        except STORE_ERRORS as away:
            logger.warning(
                "a failure was not stored", task_id=task_id, error_type=type(away).__name__
            )

    def _bury(self, message: Any, reason: str) -> None:
        bury_message(self.lane, message, reason, worker=self.hostname)

    def _bury_entry(self, entry: str) -> None:
        bury_entry(self.lane, entry, MALFORMED, worker=self.hostname)


class PulseStep(bootsteps.StartStopStep):
    """Ticks while the event loop turns, and knows whether the lane is consumed."""

    requires = (Tasks,)

    def start(self, c: LaneConsumer) -> None:
        """The consumer is connected and asks for messages from here on."""
        pulse = c.lane.pulse
        pulse.tick()
        c.consuming(True)
        c.timer.call_repeatedly(TICK_S, pulse.tick)
        c.timer.call_repeatedly(c.lane.queue.lease_seconds / RENEWALS, c.renew_leases)

    def stop(self, c: LaneConsumer) -> None:
        """The connection is gone, or the worker stops."""
        c.consuming(False)
