"""The consumer: takes what the lane's link claims, keeps what cannot run, tells how it is doing."""

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import Any, ClassVar

import redis
from celery import bootsteps, signals
from celery.exceptions import InvalidTaskError, NotRegistered
from celery.utils.time import rate
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks
from kombu.exceptions import ContentDisallowed

from laneway.observability.logs import get_logger
from laneway.services.worker.body import NO_ARGUMENTS
from laneway.services.worker.burial import bury, named
from laneway.services.worker.failures import fail_message
from laneway.services.worker.hold import ClaimHold
from laneway.services.worker.lane import TICK_S, Lane
from laneway.services.worker.light import Light, is_light, light_strategy
from laneway.services.worker.reception import (
    FARTHEST_S,
    Malformed,
    due_ms,
    has_arguments,
    headers_of,
    is_task,
    read_envelope,
)
from laneway.tasks.app import CELERYS_OWN, runs_on
from laneway.tasks.broker.client import reaching_lane
from laneway.tasks.broker.dead_letters import prune
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.broker.ledger import Claim
from laneway.tasks.broker.rate_limit import take_turn
from laneway.tasks.broker.revocations import remembered
from laneway.tasks.errors import BrokerUnavailable

logger = get_logger(__name__)

DRAIN_POLL_S = 0.1
PRUNE_S = 10.0
RECALL_S = 3_600.0
WAITED_LONG_S = 1.0
"""What has waited so long in this worker, another may have before."""

MALFORMED = "malformed envelope"
UNFIT_BROKER = "this Redis is not fit to hold work"
ASK_AGAIN_MS = 1_000
"""How long a rate-limited message waits when Redis could not be asked for its turn."""


class LaneConsumer(Consumer):
    """Celery's Consumer for one lane. `lane` is set once, when the worker starts."""

    lane: ClassVar[Lane]
    _inspected = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._rates: dict[str, float] = {}
        self._lights: dict[str, Light] = {}
        super().__init__(*args, **kwargs)

    def ensure_connected(self, conn: Any) -> Any:
        """Wait for Redis as long as it takes, and say so meanwhile."""
        pulse = self.lane.pulse
        if pulse.draining:
            state.should_stop = os.EX_OK
        state.maybe_shutdown()
        pulse.waiting_for_broker = True
        self.consuming(False)
        self._tell_if_away()
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
            with reaching_lane(
                self.app.settings, self.lane.queue, "The worker waits for it."
            ) as client:
                client.ping()
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

    def on_ready(self) -> None:
        """Everything is up: the link may deliver."""
        super().on_ready()
        if self.app.settings.transport == "laneway":
            self.pool.on_room = self.lane.link.pump_soon
            self.lane.link.attach(self.hub, self.deliver, self.room)
            self.timer.call_repeatedly(WAITED_LONG_S, self._give_back_what_waits)
            self.timer.call_repeatedly(RECALL_S, self._recall_revocations)
        # Ready once remote control is heard too: kombu subscribes at the end of the first turn.
        self.hub.call_soon(self.hub.call_soon, self._serve, self.connection)

    def _serve(self, connection: Any) -> None:
        """The loop turns and every subscription is sent, on this connection."""
        if connection is self.connection and not self.lane.pulse.draining:
            self.consuming(True)

    def cancel_task_queue(self, queue: str) -> None:
        """Take nothing from the lane until `add_task_queue`: somebody said so by remote control."""
        super().cancel_task_queue(queue)
        if queue == self.lane.name:
            self.consuming(False)

    def add_task_queue(self, queue: str, *args: Any, **options: Any) -> None:
        """Take from the lane again. It serves no other: limits and keys are the lane's own."""
        if queue != self.lane.name:
            logger.warning(
                "a worker serves one lane: start another for this queue", asked_for=queue
            )
            return
        super().add_task_queue(queue, *args, **options)
        if self.app.settings.transport == "laneway":
            self.lane.link.attach(self.hub, self.deliver, self.room)
        self.consuming(True)

    def on_close(self) -> None:
        """What Celery drops here, since it could not be acknowledged, is held by the link."""

    def room(self) -> int:
        """How many more messages may be claimed: what the pool takes, and the lane's `prefetch`."""
        room: int = self.pool.room()
        prefetch = self.lane.queue.prefetch
        if room > 0 or not prefetch:
            return room
        waiting = sum(request.time_start is None for request in tuple(state.reserved_requests))
        return max(0, prefetch - waiting)

    def _give_back_what_waits(self) -> None:
        """Let other workers have what waits here behind tasks that turned out to be long."""
        if not self.lane.queue.prefetch:
            self._give_back(self.pool.withdraw(older_than_s=WAITED_LONG_S))

    def _give_back(self, withdrawn: list[str]) -> None:
        for name in withdrawn:
            request = self.lane.holding.get(name) or state.requests.get(name)
            if request is not None:
                request.give_back()

    def reconsider(self, concerned: Callable[[Any], bool]) -> None:
        """Let go of what waits in the pool, if any of it is concerned: it is claimed and judged anew."""
        waiting = (r for r in tuple(state.reserved_requests) if r.time_start is None)
        if any(map(concerned, waiting)):
            self._give_back(self.pool.withdraw())

    def deliver(self, claim: Claim) -> None:
        """Take a claimed message: park it until it is due, bury what is none, start the rest."""
        envelope: dict[str, Any] = {}
        try:
            envelope = read_envelope(claim, self.lane.name)
            if not self._waits(claim, envelope):
                self._start(claim, envelope)
        except (Malformed, InvalidTaskError) as error:
            self._refuse(claim, envelope, error)
        except Exception as error:
            # Whatever a message holds, it may cost no more than itself.
            logger.exception("a message broke its reception", error_type=type(error).__name__)
            self._refuse(claim, envelope, Malformed(type(error).__name__))

    def _start(self, claim: Claim, envelope: dict[str, Any]) -> None:
        headers = envelope["headers"]
        light = self._lights.get(headers.get("task")) if is_light(envelope) else None
        if light is not None:
            light(envelope, claim)
        else:
            self.connection.transport._deliver(envelope, self.lane.name)  # noqa: SLF001

    def _refuse(self, claim: Claim, envelope: dict[str, Any], error: Exception) -> None:
        kind = "invalid task" if isinstance(error, InvalidTaskError) else MALFORMED
        if claim.id not in self.lane.link.ledger.held:
            return  # it broke after its fate was decided
        headers = envelope.get("headers") or headers_of(claim.message)
        hold = ClaimHold(self.lane.link, claim.id, claim.deliveries)
        bury(self.lane, hold, named(headers, kind, str(error)))
        fail_message(self.app.backend, headers, error)

    def _waits(self, claim: Claim, envelope: dict[str, Any]) -> bool:
        """Whether the message is not due yet: then it waits in Redis, and holds no slot."""
        link, due = self.lane.link, due_ms(envelope)
        if due is not None and due > link.redis_ms + FARTHEST_S * 1000:
            raise Malformed("eta is more than ten years away")
        called_off = envelope["headers"].get("id") in state.revoked
        if due is not None and due > link.redis_ms and not called_off:
            link.settle("park", claim.id, str(due))
            return True
        task = envelope["headers"].get("task")
        per_s = self._rates.get(task) if isinstance(task, str) else None
        if per_s is None:
            return False
        try:
            turn_ms = take_turn(self.lane.client, task, per_s, claim.turn_ms)
        except redis.exceptions.RedisError:
            link.settle("park", claim.id, str(link.redis_ms + ASK_AGAIN_MS))
            return True
        if turn_ms is not None:
            self.lane.metrics.rate_limited.inc(queue=self.lane.name, task=task)
            link.settle("turn", claim.id, str(turn_ms))
        return turn_ms is not None

    def prune(self) -> None:
        """Let dead letters go whose time is over, also on a lane where nothing dies any more.

        Not in the event loop, which a Redis that does not answer would hold up each time.
        """
        if not self.lane.link.away:
            Thread(target=self._prune, name="prune", daemon=True).start()

    def _prune(self) -> None:
        with suppress(redis.exceptions.RedisError):
            prune(self.lane.client, self.lane.name, self.lane.queue.dead_letter_retention)

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
        self.lane.link.stop_claiming()
        self._give_back(self.pool.withdraw())
        for request in self._waiting():
            request.give_back()
        self.timer.call_repeatedly(DRAIN_POLL_S, self._stop_when_done)

    def _waiting(self) -> list[Any]:
        """Requests that no process has been given: prefetched, or due any moment."""
        held = [r for r in state.reserved_requests if r.attempt is None]
        if self.controller.semaphore:
            self.controller.semaphore.clear()
        for request in tuple(state.scheduled_requests):
            self.timer.cancel(request._eta_timer_entry)  # noqa: SLF001 - kept nowhere else
            held.append(request)
        return list({id(request): request for request in held}.values())

    def _stop_when_done(self) -> None:
        if not state.reserved_requests:
            state.should_stop = os.EX_OK

    def bucket_for_task(self, type: Any) -> None:  # noqa: A002 - Celery's name
        """Celery's buckets hold for one worker alone; ours is asked before a message is taken."""
        per_s = rate(getattr(type, "rate_limit", None))
        if per_s:
            self._rates[type.name] = per_s
        else:
            self._rates.pop(type.name, None)

    def update_strategies(self) -> None:
        """Learn what runs here, and what was called off while nobody listened."""
        super().update_strategies()
        for name in list(self.strategies):
            if not name.startswith(CELERYS_OWN) and not runs_on(self.app, name, self.lane.queue):
                del self.strategies[name]
        self._recall_revocations()
        self._lights = {
            name: light_strategy(self.app.tasks[name], self) for name in self.strategies
        }

    def _recall_revocations(self) -> None:
        """Celery forgets them after three hours, and here a task may be delayed for longer."""
        try:
            state.revoked.update(remembered(self.lane.client))
        except redis.exceptions.RedisError as error:
            logger.warning("revocations were not read", error_type=type(error).__name__)

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
        del body
        self._bury(message, MALFORMED)
        fail_message(self.app.backend, message.headers, Malformed("no task or no id"))
        signals.task_rejected.send(sender=self, message=message, exc=None)

    def on_unknown_task(self, body: Any, message: Any, exc: Any) -> None:
        """A task nobody defined, or one that this lane does not admit."""
        del body
        self._bury(message, "unknown task")
        task_id, name = message.headers.get("id"), message.headers.get("task")
        fail_message(self.app.backend, message.headers, NotRegistered(name))
        signals.task_unknown.send(sender=self, message=message, exc=exc, name=name, id=task_id)

    def on_invalid_task(self, body: Any, message: Any, exc: Any) -> None:
        """An envelope whose fields make no sense, or of a content type that is refused."""
        del body
        refused = isinstance(exc, ContentDisallowed)
        self._bury(message, "refused content type" if refused else "invalid task")
        fail_message(self.app.backend, message.headers, exc)
        signals.task_rejected.send(sender=self, message=message, exc=exc)

    def on_decode_error(self, message: Any, exc: Any) -> None:
        """A body that cannot be decoded."""
        self._bury(message, "undecodable body")
        fail_message(self.app.backend, message.headers, exc)

    def _bury(self, message: Any, kind: str) -> None:
        claim = self.lane.link.ledger.held.get(message.delivery_tag)
        if claim is None:
            message.reject_log_error(logger, self.connection_errors)  # on kombu's: it is gone
            return
        hold = ClaimHold(self.lane.link, claim.id, claim.deliveries, message)
        bury(self.lane, hold, named(message.headers, kind))


class PulseStep(bootsteps.StartStopStep):
    """Ticks while the event loop turns, and notes when the lane is no longer consumed."""

    requires = (Tasks,)

    def start(self, c: LaneConsumer) -> None:
        """The consumer is connected."""
        pulse = c.lane.pulse
        pulse.tick()
        c.timer.call_repeatedly(TICK_S, lambda: c.lane.metrics.loop_lag.observe(pulse.tick()))
        c.timer.call_repeatedly(PRUNE_S, c.prune)

    def stop(self, c: LaneConsumer) -> None:
        """The connection is gone, or the worker stops."""
        c.consuming(False)
