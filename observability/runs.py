"""The span of user code, in the process that runs it: a child of the attempt's span."""

from collections.abc import Mapping
from contextlib import ExitStack
from contextvars import ContextVar, Token

from laneway.observability.headers import Headers
from laneway.observability.spans import NO_SPAN, Span, Tracer

_run: ContextVar["RunSpan | None"] = ContextVar("laneway_run", default=None)


class RunSpan:
    """`run {task}`, current in its thread until `end`. Begin and end it in the same thread."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self._current = ExitStack()
        self._current.enter_context(span.current())
        self._outer: Token[RunSpan | None] | None = _run.set(self)

    def end(self, error: BaseException | None = None) -> None:
        """End it; an error is noted by type and frames. A second call does nothing."""
        if self._outer is None:
            return
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
    return RunSpan(tracer.start(f"run {task}", "internal", attributes, parent=headers))


def add_state_event(state: str, meta: Mapping[str, object] | None = None) -> None:
    """Note `update_state` in the current run's span: the state and the names in its meta."""
    run = _run.get()
    if run is not None:
        keys = ",".join(sorted(map(str, meta or {})))
        run.span.event("celery.state", {"celery.state": state, "celery.state.keys": keys})
