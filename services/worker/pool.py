"""Celery's process pool, which tells when and why one of its processes ended."""

from collections.abc import Callable
from typing import ClassVar

from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

SIGNAL_REASONS = {9: "sigkill", 11: "sigsegv", 15: "sigterm", 6: "sigabrt"}


class CountingPool(AsynPool):
    """AsynPool that passes on the exit codes of its processes."""

    on_exit: ClassVar[Callable[[str], None]]

    def _join_exited_workers(self, shutdown: bool = False) -> list[int | None]:
        codes: list[int | None] = super()._join_exited_workers(shutdown)
        for code in codes:
            self.on_exit(exit_reason(code))
        return codes


class ProcessPool(TaskPool):
    """Celery's prefork pool over CountingPool."""

    Pool = CountingPool


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
