"""The Request class: the one place where an attempt begins and ends.

Celery keeps one Request per delivery in the worker's parent and calls it at every turn of the
task's life, killed children included. What each turn means is listed in Celery's own order:

    handed over       execute_using_pool            the attempt starts
    begun             on_accepted                   its child is known
    succeeded         on_success                    (Celery generates it below this class: wrapped)
    raised            on_failure(exception)         Retry, Ignore, Reject and SoftTimeLimitExceeded too
    hard limit        on_failure(TimeLimitExceeded), then on_timeout(soft=False)
    child lost        on_failure(WorkerLostError)
    revoked, expired  _announce_revoked             also before the task began
    terminated        _announce_revoked, then on_failure(Terminated)

`finish` of an attempt counts the first outcome it hears, so a fate that comes by two ways is one.
"""

import time
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, ClassVar

from billiard.einfo import ExceptionWithTraceback
from billiard.exceptions import (
    SoftTimeLimitExceeded,
    Terminated,
    TimeLimitExceeded,
    WorkerLostError,
)
from celery import signals
from celery.app.task import Context
from celery.exceptions import Ignore, InvalidTaskError, Reject, Retry
from celery.worker import state
from celery.worker.request import Request

from laneway.observability.attempt_start import AttemptStart
from laneway.observability.attempts import Attempt
from laneway.observability.headers import ENQUEUED_AT, FIRST_ENQUEUED_AT, read_time_s
from laneway.observability.logs import get_logger
from laneway.observability.outcomes import Outcome
from laneway.services.worker.body import BodyRefused
from laneway.services.worker.burial import Burial, bury
from laneway.services.worker.failures import store_failure
from laneway.services.worker.hold import Hold, hold_of
from laneway.services.worker.lane import STORE_ERRORS, Lane
from laneway.tasks.broker.ledger import Verb

logger = get_logger(__name__)

KEPT = "It is kept among the queue's dead letters."
FAILED = frozenset({Outcome.FAILURE, Outcome.SOFT_TIMEOUT, Outcome.REJECTED})
"""Outcomes of a task that ran and will not be tried again; a hard limit is one more."""


class OutOfMemory(Exception):
    """A task raised MemoryError. Celery would end the worker over it; it fails the task alone."""


class ObservedRequest(Request):
    """Celery's Request, with its attempt. `lane` is set once, when the worker starts."""

    lane: ClassVar[Lane]
    attempt: Attempt | None = None
    hold: Hold
    """The claim on its message."""
    acknowledged: bool
    _back: Verb = "tail"
    """Where a message goes that comes back; a task that asks for it waits behind the others."""

    time_limits: tuple[float | None, float | None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received_at_s = time.time()
        self.time_limits = capped(self.time_limits, self.lane.queue.time_limit)
        self.retries = whole(self._request_dict.get("retries") or 0)
        self.hold = hold_of(self.lane.link, self._message, self)

    def __init_subclass__(cls, *, generated: bool = True, **kwargs: Any) -> None:
        """Wrap the two methods that Celery generates anew, below this class, for every task.

        A class of ours says `generated=False`: its own methods observe by themselves.
        """
        super().__init_subclass__(**kwargs)
        if not generated:
            return
        cls.execute_using_pool = _starting(cls.execute_using_pool)
        cls.on_success = _succeeding(cls.on_success)

    def start_attempt(self) -> Attempt:
        """The attempt of this delivery, started on first use."""
        if self.attempt is None:
            self.attempt = self.lane.attempts.start(self._describe())
        return self.attempt

    def end_attempt(
        self, outcome: Outcome, error: BaseException | None = None, **known: Any
    ) -> None:
        """End the attempt; while the worker drains, count what became of it."""
        try:
            ended = self.start_attempt().finish(outcome, error, **known)
        except Exception as fault:
            logger.exception("an attempt was not told", error_type=type(fault).__name__)
            return
        if ended and self.lane.pulse.draining:
            requeued = outcome is Outcome.SHUTDOWN_REQUEUED
            fate = "requeued" if requeued else "finished"
            self.lane.drain_requeued += requeued
            self.lane.metrics.shutdown_tasks.inc(queue=self.lane.name, fate=fate)

    def give_back(self) -> None:
        """Return the message to the head of its lane: what runs is run anew, what waits only waits.

        Of what nothing ran yet, no attempt is told.
        """
        if self.acknowledged:
            return
        if self.time_start is not None:
            self.end_attempt(Outcome.SHUTDOWN_REQUEUED)
        elif self.attempt is not None:
            self.attempt.withdraw()
        self._back = "head"
        self.reject(requeue=True)
        state.task_ready(self)

    def acknowledge(self) -> None:
        """The message is done with."""
        if not self.acknowledged:
            self.acknowledged = True
            self.hold.ack()

    def reject(self, requeue: bool = False) -> None:
        """The message is done with, or comes back where it belongs."""
        if not self.acknowledged:
            self.acknowledged = True
            if requeue:
                self.hold.settle(self._back)
            else:
                self.hold.ack()
            self.send_event("task-rejected", requeue=requeue)

    def bury(self, burial: Burial) -> None:
        """The message becomes a dead letter."""
        if not self.acknowledged:
            self.acknowledged = True
            bury(self.lane, self.hold, burial)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A child took the task up."""
        self.start_attempt().accepted(pid, time_accepted)
        super().on_accepted(pid, time_accepted)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """A limit was reached; the hard one comes here second, and is handled here alone."""
        if soft:
            self.start_attempt().soft_timeout()
        else:
            self.end_attempt(Outcome.HARD_TIMEOUT)
            self._keep_if_asked(f"hard limit of {timeout:g} s")
        try:
            super().on_timeout(soft, timeout)
        except STORE_ERRORS as error:
            # Nobody would learn of the failure: let another delivery meet it.
            logger.warning("a failure was not stored", error_type=type(error).__name__)
            self.reject(requeue=True)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """The task raised, in one of the ways that are no failure too, or its child is gone."""
        error = _unwrapped(exc_info.exception)
        if isinstance(error, TimeLimitExceeded):
            # Celery would mark the failure and call the errbacks here, and once more in on_timeout.
            self.end_attempt(Outcome.HARD_TIMEOUT, error)
            return
        if isinstance(error, BodyRefused):
            self._refuse(error)
            return
        if isinstance(error, WorkerLostError | SystemExit) and self._ends_deliveries(exc_info):
            return
        self._finish(error, exc_info)
        if isinstance(error, MemoryError):
            exc_info.exception = OutOfMemory(str(error) or "MemoryError")
        super().on_failure(exc_info, send_failed_event, return_ok)

    def _announce_revoked(self, reason: str, terminated: bool, signum: Any, expired: bool) -> None:
        self.end_attempt(Outcome(reason))
        super()._announce_revoked(reason, terminated, signum, expired)

    def _announce_cancelled(self, *args: Any, **kwargs: Any) -> None:
        self.end_attempt(Outcome.CANCELLED)
        super()._announce_cancelled(*args, **kwargs)

    def _finish(self, error: BaseException, exc_info: Any) -> None:
        if isinstance(error, Terminated):
            return  # _announce_revoked has counted it, or is about to
        outcome = self._outcome(error)
        cause = error.exc if isinstance(error, Retry) else error
        self.end_attempt(
            outcome,
            cause,
            retry_delay_s=_delay_s(error) if isinstance(error, Retry) else None,
            where=_innermost_frame(exc_info),
        )
        if outcome in FAILED:
            self._keep_if_asked(type(error).__name__)

    def _keep_if_asked(self, cause: str) -> None:
        """Bury the message of a task that has failed for good, if the task asks for it."""
        if getattr(self.task, "dead_letter_on_failure", False):
            reason = f"{cause}, try {self.retries + 1}"
            self.bury(Burial("task failed", reason, self.id, self.name, attempted=True))

    def _outcome(self, error: BaseException) -> Outcome:
        if isinstance(error, WorkerLostError | SystemExit):
            drained = self.lane.pulse.draining
            return Outcome.SHUTDOWN_REQUEUED if drained else Outcome.WORKER_LOST
        if isinstance(error, Retry):
            return Outcome.RETRY
        if isinstance(error, Reject):
            return Outcome.REQUEUED if error.requeue else Outcome.REJECTED
        if isinstance(error, Ignore):
            return Outcome.IGNORED
        if isinstance(error, SoftTimeLimitExceeded):
            return Outcome.SOFT_TIMEOUT
        return Outcome.FAILURE

    def _ends_deliveries(self, exc_info: Any) -> bool:
        """Whether this loss was one too many: then the message is a dead letter, and failed."""
        if not (self.task.acks_late and self.task.reject_on_worker_lost):
            return False
        if self.lane.pulse.draining:
            self._back = "head"
            return False
        self._back = "again"
        deliveries = self.hold.deliveries
        if deliveries < self.lane.queue.max_deliveries or self._success_was_stored():
            return False
        reason = f"its process was lost, delivery {deliveries} of {deliveries} (maxDeliveries)"
        state.task_ready(self)
        self.bury(Burial("delivery limit", reason, self.id, self.name, attempted=True))
        self.end_attempt(Outcome.WORKER_LOST, _unwrapped(exc_info.exception), final=True)
        self._fail_for_good(WorkerLostError(f"Gave up: {reason}. {KEPT}"), exc_info)
        return True

    def _refuse(self, error: BodyRefused) -> None:
        """The pool found no task in the body: nothing ran."""
        state.task_ready(self)
        self.end_attempt(Outcome.REJECTED)
        self.bury(Burial(error.kind, error.reason, self.id, self.name, attempted=True))
        store_failure(self.task.backend, self.id, error, Context(self._request_dict))

    def _fail_for_good(self, error: Exception, exc_info: Any) -> None:
        """Store the failure and tell who listens, as Celery does for a failure of the parent's."""
        backend, stored = self.task.backend, self.store_errors
        store_failure(backend, self.id, error, self._context, store_result=stored)
        signals.task_failure.send(
            sender=self.task,
            task_id=self.id,
            exception=error,
            args=self.args,
            kwargs=self.kwargs,
            traceback=exc_info.traceback,
            einfo=exc_info,
        )

    def _describe(self) -> AttemptStart:
        headers = self._request_dict
        soft_s, hard_s = self._limits()
        return AttemptStart(
            task_id=self.id,
            task=self.name,
            queue=self.lane.name,
            attempt=self.retries + 1,
            redelivered=bool((self.delivery_info or {}).get("redelivered")),
            headers=headers,
            enqueued_at_s=read_time_s(headers, ENQUEUED_AT),
            first_enqueued_at_s=read_time_s(headers, FIRST_ENQUEUED_AT),
            eta_s=self.eta.timestamp() if self.eta else None,
            received_at_s=self._received_at_s,
            root_id=self.root_id,
            parent_id=self.parent_id,
            soft_limit_s=soft_s,
            hard_limit_s=hard_s,
            pool=self.lane.queue.pool,
        )

    def _limits(self) -> tuple[float | None, float | None]:
        hard_s, soft_s = self.time_limits
        return soft_s or self.task.soft_time_limit, hard_s or self.task.time_limit


def capped(limits_s: Any, longest_s: float) -> tuple[float | None, float | None]:
    """Hard and soft limit of a message. A run that outlasts the lane's would be run twice."""
    if limits_s is None:
        return None, None
    try:
        hard_s, soft_s = (None if limit is None else float(limit) for limit in limits_s)
    except (TypeError, ValueError):
        raise InvalidTaskError("timelimit is no pair of seconds") from None
    if not all(limit_s is None or limit_s >= 0 for limit_s in (hard_s, soft_s)):
        raise InvalidTaskError("timelimit is no pair of seconds")
    return min(hard_s, longest_s) if hard_s else None, soft_s


def whole(number: Any) -> int:
    """A header that counts."""
    if not isinstance(number, int):
        raise InvalidTaskError("retries is no whole number")
    return number


def _starting(generated: Callable[..., Any]) -> Callable[..., Any]:
    def execute_using_pool(self: ObservedRequest, pool: Any, **kwargs: Any) -> Any:
        # The same dictionary travels to the child: what it starts hangs under this attempt.
        self._request_dict.update(self.start_attempt().headers)
        return generated(self, pool, **kwargs)

    return execute_using_pool


def _succeeding(generated: Callable[..., Any]) -> Callable[..., Any]:
    def on_success(self: ObservedRequest, answer: tuple[bool, Any, float], **kwargs: Any) -> Any:
        failed, _, _ = answer
        if not failed:  # failures go on to on_failure
            self.end_attempt(Outcome.SUCCESS)
        return generated(self, answer, **kwargs)

    return on_success


def _unwrapped(error: BaseException) -> BaseException:
    # Only this wrapper: a Retry carries its cause in `exc` too, and is no failure.
    return error.exc if isinstance(error, ExceptionWithTraceback) else error


def _delay_s(retry: Retry) -> float | None:
    when = retry.when
    if when is None:
        return None
    return float(when) if isinstance(when, int | float) else when.timestamp() - time.time()


def _innermost_frame(exc_info: Any) -> str | None:
    """File and line where the error was raised; never its message, which may hold payload."""
    frame = getattr(exc_info, "tb", None)
    if frame is None:
        return None
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = PurePath(frame.tb_frame.f_code.co_filename)
    return f"{'/'.join(file.parts[-2:])}:{frame.tb_lineno}"
