"""The span of user code, in the process that runs it: a child of the attempt's span.

A task that tells its progress with `update_state` has a span for each step besides: where `meta`
names one under "step", the step before ends, and the numbers of `meta` are the attributes of both.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from contextvars import ContextVar, Token

from laneway.observability.faults import error_type
from laneway.observability.headers import Headers
from laneway.observability.spans import NO_SPAN, Span, Tracer

_run: ContextVar["RunSpan | None"] = ContextVar("laneway_run", default=None)

STEPS_SEEN = 100
"""Steps of one run that have spans: a task may report each of a million rows."""


class RunSpan:
    """`run {task}`, current in its thread until `end`. Begin and end it in the same thread."""

    def __init__(self, span: Span, tracer: Tracer | None = None) -> None:
        self.span = span
        self._tracer = tracer
        self._step, self._step_name, self._steps = NO_SPAN, "", 0
        self._current = ExitStack()
        self._current.enter_context(span.current())
        self._outer: Token[RunSpan | None] | None = _run.set(self)

    def reach(self, step: str, sizes: Mapping[str, int | float]) -> None:
        """A step of the task begins, or goes on; sizes are known now."""
        attributes = {f"celery.step.{name}": size for name, size in sizes.items()}
        self._step.set(attributes)
        if self._tracer is None or step == self._step_name or self._steps >= STEPS_SEEN:
            return
        self._step.end()
        self._steps += 1
        self._step_name = step
        self._step = self._tracer.start(step, "internal", attributes, parent=self.span.headers)

    def end(self, error: BaseException | None = None) -> None:
        """End it; an error is noted by type and frames. A second call does nothing."""
        if self._outer is None:
            return
        if error is not None:
            self._step.fail(error_type(error))
        self._step.end()
        _run.reset(self._outer)
        self._outer = None
        self._current.close()
        if error is not None:
            self.span.fault(error)
        self.span.end()


def run_span(tracer: Tracer | None, task: str, task_id: str, headers: Headers) -> RunSpan:
    """Begin the span of a task's code.

    Args:
        tracer: The child's own tracer, from `Tracing.child`; None when tracing is off.
        task: The task's name.
        task_id: The task's id.
        headers: Headers of the running request, which hold the attempt's `traceparent`.
    """
    if tracer is None:
        return RunSpan(NO_SPAN)
    attributes = {"celery.task.name": task, "messaging.message.id": task_id}
    return RunSpan(tracer.start(f"run {task}", "internal", attributes, parent=headers), tracer)


def add_state_event(state: str, meta: Mapping[str, object] | None = None) -> None:
    """Note `update_state` in the current run's span: the state, the names in its meta, the step."""
    run = _run.get()
    if run is None:
        return
    told = meta or {}
    keys = ",".join(sorted(map(str, told)))
    run.span.event("celery.state", {"celery.state": state, "celery.state.keys": keys})
    step = told.get("step")
    if isinstance(step, str):
        run.reach(step, _numbers(told))


def _numbers(meta: Mapping[str, object]) -> dict[str, int | float]:
    """The numbers of a progress: words in it may be somebody's."""
    return {
        str(name): value
        for name, value in meta.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
