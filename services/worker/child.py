"""What a pool process does for itself: its own traces, and nothing of the parent's."""

import os
import signal
from threading import get_ident
from typing import Any

from celery import signals
from celery._state import get_current_task

from laneway.observability.child_metrics import ChildMetrics
from laneway.observability.health import HealthServer
from laneway.observability.logs import ask_whose
from laneway.observability.runs import RunSpan, add_state_event, run_span
from laneway.observability.tracing import Tracing
from laneway.services.lifecycle import die_with_parent
from laneway.services.publishing import observe_publishing
from laneway.tasks.app import RESULT_TRIES, LanewayApp


class Child:
    """Hooks for every pool process, and for the worker's own when its pool is threads."""

    def __init__(
        self, app: LanewayApp, tracing: Tracing, health: HealthServer, metrics: ChildMetrics
    ) -> None:
        self._app = app
        self._tracing = tracing
        self._health = health
        self._metrics = metrics
        # By thread too: a retry may begin in one before the attempt it follows has left another.
        self._runs: dict[tuple[int, str], RunSpan] = {}

    def install(self) -> None:
        """Listen for processes and tasks that begin and end."""
        signals.worker_process_init.connect(self._begin_process, weak=False)
        signals.worker_process_shutdown.connect(self._end_process, weak=False)
        ask_whose(self._whose)
        if self._tracing.tracer is not None:
            signals.task_prerun.connect(self._begin_task, weak=False)
            signals.task_postrun.connect(self._end_task, weak=False)
            self._app.on_state = add_state_event  # type: ignore[method-assign]

    def _begin_process(self, **_: Any) -> None:
        # A signal meant for the worker's group, Ctrl-C say, is the parent's alone to act on; and
        # a child must not run on when its parent is gone, as its message goes to another worker.
        os.setpgrp()
        die_with_parent(signal.SIGKILL)
        self._health.close_in_child()
        self._tracing = self._tracing.child(self._metrics.span_dropped)
        # The parent's own are out of reach: a lock of theirs may have been held at the fork.
        observe_publishing(self._app, self._metrics, self._tracing.tracer)
        # The parent's backend came along with the fork, and with it the parent's impatience.
        self._app.backend.max_retries = RESULT_TRIES

    def _end_process(self, **_: Any) -> None:
        # Pool processes leave without running exit handlers.
        self._tracing.shutdown()

    def _begin_task(self, task_id: str, task: Any, **_: Any) -> None:
        headers = task.request.headers or {}
        run = run_span(self._tracing.tracer, task.name, task_id, headers)
        self._runs[get_ident(), task_id] = run

    def _end_task(self, task_id: str, retval: Any = None, **_: Any) -> None:
        run = self._runs.pop((get_ident(), task_id), None)
        if run is not None:
            run.end(retval if isinstance(retval, Exception) else None)

    def _whose(self) -> dict[str, str | None]:
        """Of which task a line is that is written now, in this thread."""
        task = get_current_task()
        if task is None or task.request.id is None:
            return {}
        task_id = task.request.id
        run = self._runs.get((get_ident(), task_id))
        trace_id = run.span.trace_id if run else None
        return {"task_id": task_id, "task": task.name, "trace_id": trace_id}
