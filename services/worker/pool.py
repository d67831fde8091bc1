"""Celery's pools: processes whose ends are counted, and threads that a stop need not wait for."""

from collections.abc import Callable
from typing import Any, ClassVar

from celery.concurrency import thread
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

SIGNAL_REASONS = {9: "sigkill", 11: "sigsegv", 15: "sigterm", 6: "sigabrt"}


class CountingPool(AsynPool):
    """AsynPool that passes on the exit codes of its processes."""

    on_exit: ClassVar[Callable[[str], None]]

    def _join_exited_workers(self, shutdown: bool = False) -> list[int | None]:
        codes: list[int | None] = super()._join_exited_workers(shutdown)
        for code in codes:
            CountingPool.on_exit(exit_reason(code))
        return codes


class ProcessPool(TaskPool):
    """Celery's prefork pool over CountingPool."""

    Pool = CountingPool

    def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Celery's own, with a soft limit only where it comes first."""
        soft_s, hard_s = options.get("soft_timeout"), options.get("timeout")
        if soft_s and hard_s and soft_s >= hard_s:
            # The pool would watch for the hard limit only after the soft one.
            options["soft_timeout"] = None
        return super().apply_async(target, args, kwargs, **options)


class ThreadPool(thread.TaskPool):
    """Celery's threads."""

    abandoned = False
    """Whether threads still run what was given back: the process is to end without them."""

    def on_stop(self) -> None:
        """Wait for what runs, unless it was given back."""
        self.executor.shutdown(wait=not self.abandoned, cancel_futures=True)


def watch_exits(on_exit: Callable[[str], None]) -> None:
    """Let `on_exit` hear the reason of every pool process that ends."""
    CountingPool.on_exit = staticmethod(on_exit)


def exit_reason(code: int | None) -> str:
    """A pool process's exit code as a label: recycled, exit, or the signal that killed it."""
    if code is None:
        return "unknown"
    if code < 0:
        return SIGNAL_REASONS.get(-code, f"signal{-code}")
    # billiard's EX_RECYCLE: max tasks or max memory per child was reached
    return {0: "exit", 155: "recycled"}.get(code, "error")
