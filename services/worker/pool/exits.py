"""How pool processes end, as labels, and who hears of it."""

from collections.abc import Callable

SIGNAL_REASONS = {9: "sigkill", 11: "sigsegv", 15: "sigterm", 6: "sigabrt"}

RECYCLED = 155
"""Exit code of a process that reached its most tasks or memory; the same as billiard's."""

EXIT_REASONS = (*SIGNAL_REASONS.values(), "recycled", "exit", "error")
"""Those that are met; a rare signal has a reason of its own."""

_listeners: list[Callable[[str], None]] = []


def watch_exits(on_exit: Callable[[str], None]) -> None:
    """Let `on_exit`, and no one else, hear the reason of every pool process that ends."""
    _listeners[:] = [on_exit]


def tell_exit(code: int | None) -> None:
    """Pass on how a pool process ended."""
    for listener in _listeners:
        listener(exit_reason(code))


def exit_reason(code: int | None) -> str:
    """A pool process's exit code as a label: recycled, exit, or the signal that killed it."""
    if code is None:
        return "unknown"
    if code < 0:
        return SIGNAL_REASONS.get(-code, f"signal{-code}")
    return {0: "exit", RECYCLED: "recycled"}.get(code, "error")
