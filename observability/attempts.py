"""One attempt, one outcome: in the metrics, in the trace and in the log.

The worker's parent process owns an attempt from the hand-over to the pool until its end, so that
an attempt whose process was killed has its span, its count and its line like any other.
"""

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from laneway.observability.attempt_start import AttemptStart, process_span, wait_span
from laneway.observability.faults import error_type, where_raised
from laneway.observability.headers import (
    FIRST_ENQUEUED_AT,
    ORIGIN,
    TRACEPARENT,
    format_time,
    texts,
)
from laneway.observability.instruments import Buckets
from laneway.observability.metrics import Metrics
from laneway.observability.objectives import Objectives
from laneway.observability.outcomes import Outcome, OutcomeClass
from laneway.observability.running import Clock, Flight, RunningTable
from laneway.observability.spans import NO_SPAN, Tracer

SKEW_S = 1.0
"""Clocks differ by less than this on machines whose clocks are kept."""


class Logger(Protocol):
    """What writes the line of an attempt; structlog's logger over the standard library is one."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the standard library's name
        """Whether lines of this level are written at all."""

    def info(self, event: str, **keys: Any) -> Any:
        """Write a line."""

    def warning(self, event: str, **keys: Any) -> Any:
        """Write a line of something that went wrong and will be tried again."""

    def error(self, event: str, **keys: Any) -> Any:
        """Write a line of something that went wrong for good."""


@dataclass(frozen=True)
class _End:
    outcome: Outcome
    error_type: str | None
    where: str | None
    retry_delay_s: float | None
    final: bool
    age_s: float


class Attempts:
    """Starts attempts, and knows those in flight.

    Args:
        metrics: where they are counted.
        tracer: makes their spans; None for none.
        logger: writes their lines.
        objectives: of the lane, if its tasks are to be held against any.
        clock: for tests.
    """

    def __init__(
        self,
        metrics: Metrics,
        tracer: Tracer | None,
        logger: Logger,
        objectives: Objectives | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.metrics = metrics
        self.objectives = objectives
        self.tracer = tracer
        self.logger = logger
        self.clock = clock or Clock()
        self.table = RunningTable(self.clock.steady_s)
        self._series: dict[tuple[str, str, Outcome, str], _Series] = {}
        metrics.watch_running(self.table.readings)
        if objectives is not None:
            objectives.declare(metrics)

    def start(self, start: AttemptStart) -> "Attempt":
        """Begin an attempt: its span is open, and it counts as running."""
        return Attempt(self, start)

    def series(self, start: AttemptStart, outcome: Outcome) -> "_Series":
        """Where attempts of this kind that end so are counted."""
        key = start.queue, start.task, outcome, start.wait_kind
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = _Series(self.metrics, *key)
        return found

    def count_without_request(
        self, queue: str, task: str, outcome: Outcome, task_id: str | None = None
    ) -> None:
        """Count and log a message that never became an attempt, such as one of an unknown task."""
        self.metrics.attempts.inc(queue=queue, task=task, outcome=outcome)
        self.logger.info("attempt", task_id=task_id, task=task, queue=queue, outcome=outcome.value)


class _Series:
    """What one way to end of one task is counted in.

    Each is found once, when it is first needed, since every attempt moves most of them.
    """

    def __init__(
        self, metrics: Metrics, queue: str, task: str, outcome: Outcome, wait_kind: str
    ) -> None:
        self._metrics, self._queue, self._wait_kind = metrics, queue, wait_kind
        self._ended = {"queue": queue, "task": task, "class_": outcome.outcome_class}
        self.attempts = metrics.attempts.bind(queue=queue, task=task, outcome=outcome.value)

    @cached_property
    def queue_wait(self) -> Buckets:
        return self._metrics.queue_wait.bind(queue=self._queue, kind=self._wait_kind)

    @cached_property
    def prefetch_wait(self) -> Buckets:
        return self._metrics.prefetch_wait.bind(queue=self._queue)

    @cached_property
    def duration(self) -> Buckets:
        return self._metrics.attempt_duration.bind(**self._ended)

    @cached_property
    def end_to_end(self) -> Buckets:
        return self._metrics.end_to_end.bind(**self._ended)

    @cached_property
    def task_attempts(self) -> Buckets:
        return self._metrics.task_attempts.bind(**self._ended)


class Attempt:
    """One attempt in flight, from `Attempts.start`. Safe to use from many threads.

    Attributes:
        headers: To put into the request that goes to the child, so that what it records hangs
            under this attempt, and its retries beside it.
    """

    def __init__(self, attempts: Attempts, start: AttemptStart) -> None:
        self._attempts = attempts
        self._start = start
        self._pid: int | None = None
        self._soft_timeout = False
        clock = attempts.clock
        self._began_at_s = clock.wall_s()
        self._wait_s = max(0.0, self._began_at_s - start.ready_at_s)
        self._skewed = self._began_at_s + SKEW_S < (start.enqueued_at_s or 0.0)
        self._task_began_at_s = start.task_began_at_s
        self._flight = Flight(start.queue, start.task, clock.steady_s())
        self._span = process_span(attempts.tracer, start, self._began_at_s)
        self.headers = self._child_headers()
        if start.redelivered:
            attempts.metrics.redelivered.inc(queue=start.queue, task=start.task)
        attempts.table.enter(self._flight)

    def accepted(self, pid: int | None, at_s: float | None = None) -> None:
        """A slot began with it in the process `pid`, at `at_s` of the steady clock or just now."""
        self._pid = pid
        now_s = self._attempts.clock.steady_s()
        # Heard of a moment later, so that the time is known best by who began.
        self._flight.accepted_s = now_s if at_s is None else min(at_s, now_s)
        self._span.set({"process.pid": pid})
        self._span.event("started")

    def soft_timeout(self) -> None:
        """It met its soft limit; how it ends is told to `finish`."""
        self._soft_timeout = True
        self._span.event("soft_time_limit")

    def withdraw(self) -> None:
        """It was taken back before anything of it ran: it never was."""
        self._attempts.table.leave(self._flight)

    def finish(
        self,
        outcome: Outcome,
        error: BaseException | None = None,
        *,
        retry_delay_s: float | None = None,
        final: bool | None = None,
        where: str | None = None,
    ) -> bool:
        """End it; the first call wins.

        Args:
            outcome: How it ended.
            error: What went wrong, or for a retry its cause; told by type and place alone.
            retry_delay_s: Delay until the next attempt.
            final: Whether the task ends with it; the outcome's usual if not given.
            where: `file:line`, if the error has no traceback because it came from a child.

        Returns:
            Whether this call was the first.
        """
        age_s = self._attempts.table.leave(self._flight)
        if age_s is None:
            return False
        end = _End(
            outcome=outcome,
            error_type=_error_type(outcome, error),
            where=where or (where_raised(error) if error else None),
            retry_delay_s=retry_delay_s,
            final=outcome.is_final if final is None else final,
            age_s=age_s,
        )
        self._measure(end)
        self._end_span(end)
        self._log(end)
        return True

    def _held_a_slot(self, end: _End) -> bool:
        # What was dropped before a slot took it has neither waited for one nor run.
        return self._flight.accepted_s is not None or end.outcome.outcome_class != "dropped"

    def _child_headers(self) -> dict[str, str]:
        own = self._span.headers
        kept = {FIRST_ENQUEUED_AT: format_time(self._task_began_at_s)}
        if own:
            origin = texts(self._start.headers, TRACEPARENT).get(TRACEPARENT, "")
            # What could not be read has begun no trace: this attempt has.
            continued = str(self._span.trace_id) in origin
            kept[ORIGIN] = origin if continued else own[TRACEPARENT]
        return {**own, **kept}

    def _measure(self, end: _End) -> None:
        series, exemplar = self._attempts.series(self._start, end.outcome), self._span.exemplar
        series.attempts.inc(1, exemplar)
        if self._held_a_slot(end):
            series.queue_wait.observe(self._wait_s, exemplar)
            series.duration.observe(end.age_s, exemplar)
            self._measure_start(series)
        if end.final:
            self._measure_task(series, end.outcome.outcome_class)
        self._measure_trouble(end)

    def _measure_start(self, series: "_Series") -> None:
        """How long it waited, in the lane and in the worker."""
        start, flight = self._start, self._flight
        if flight.accepted_s is not None:
            held_s = self._began_at_s - start.received_at_s + flight.accepted_s - flight.began_s
            series.prefetch_wait.observe(max(0.0, held_s))
        if self._skewed:
            self._attempts.metrics.clock_skew.inc(queue=start.queue)
        objectives = self._attempts.objectives
        if objectives is not None and start.wait_kind == "first":
            objectives.started(self._wait_s)

    def _measure_task(self, series: "_Series", kind: OutcomeClass) -> None:
        """The task has ended with it."""
        attempts, start = self._attempts, self._start
        now_s = attempts.clock.wall_s()
        took_s = max(0.0, now_s - self._task_began_at_s)
        series.end_to_end.observe(took_s, self._span.exemplar)
        series.task_attempts.observe(start.attempt)
        if kind == "ok" and start.periodic:
            attempts.metrics.last_success.set(now_s, queue=start.queue, task=start.task)
        if attempts.objectives is not None and kind != "dropped":
            attempts.objectives.ended(took_s, well=kind == "ok")

    def _measure_trouble(self, end: _End) -> None:
        metrics, start = self._attempts.metrics, self._start
        queue, task = start.queue, start.task
        if end.error_type is not None:
            metrics.errors.inc(
                exemplar=self._span.exemplar,
                queue=queue,
                task=task,
                error_type=end.error_type,
                final=_flag(end.final),
            )
        if end.retry_delay_s is not None:
            metrics.retry_delay.observe(end.retry_delay_s, queue=queue, task=task)
        if self._soft_timeout or end.outcome is Outcome.SOFT_TIMEOUT:
            handled = _flag(end.outcome is Outcome.SUCCESS)
            metrics.soft_timeouts.inc(queue=queue, task=task, handled=handled)

    def _end_span(self, end: _End) -> None:
        if self._span is NO_SPAN:
            return
        if self._held_a_slot(end):
            wait_span(self._attempts.tracer, self._start, self._began_at_s)
        if end.outcome is Outcome.RETRY:
            delay = {"delay_s": end.retry_delay_s, "reason": end.error_type}
            self._span.event("retry.scheduled", delay)
        self._span.set(
            {
                "celery.outcome": end.outcome.value,
                "celery.final": end.final,
                "celery.wait_s": self._wait_s,
            }
        )
        if end.error_type is not None:
            self._span.fail(end.error_type)
        self._span.end(self._began_at_s + self._attempts.clock.steady_s() - self._flight.began_s)

    def _log(self, end: _End) -> None:
        start, logger = self._start, self._attempts.logger
        write, level = logger.info, logging.INFO
        if end.outcome.is_error:
            write, level = logger.warning, logging.WARNING
            if end.final:
                write, level = logger.error, logging.ERROR
        if not logger.isEnabledFor(level):
            return
        write(
            "attempt",
            task_id=start.task_id,
            root_id=start.root_id,
            task=start.task,
            queue=start.queue,
            attempt=start.attempt,
            outcome=end.outcome.value,
            duration_s=round(end.age_s, 6) if self._held_a_slot(end) else None,
            wait_s=round(self._wait_s, 6),
            error_type=end.error_type,
            where=end.where,
            pid=self._pid,
            redelivered=start.redelivered,
            trace_id=self._span.trace_id,
            span_id=self._span.span_id,
        )


def _error_type(outcome: Outcome, error: BaseException | None) -> str | None:
    """What counts as an error: every bad outcome, and a retry that has a cause."""
    if outcome.is_error:
        return error_type(error) if error else outcome.value
    return error_type(error) if error and outcome is Outcome.RETRY else None


def _flag(value: object) -> str:
    return "true" if value else "false"
