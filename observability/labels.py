"""Bounds on label values, so that no message from outside can grow the series without end."""

from collections.abc import Iterable
from threading import Lock

UNKNOWN = "__unknown__"
OTHER = "__other__"
ERROR_TYPES_KEPT = 50
OPEN = frozenset({"task", "error_type"})
"""Labels of which there may be many."""


class LabelGuard:
    """Cleans label values: tasks must be known, error types are the first 50 seen.

    Safe to use from many threads.
    """

    def __init__(self, tasks: Iterable[str] = ()) -> None:
        self._tasks = frozenset(tasks)
        self._error_types: set[str] = set()
        self._lock = Lock()

    def know_tasks(self, tasks: Iterable[str]) -> None:
        """Let these task names through from now on."""
        with self._lock:
            self._tasks |= frozenset(tasks)

    def clean(self, label: str, value: str) -> str:
        """The value to use for this label."""
        if label == "task":
            return value if value in self._tasks else UNKNOWN
        if label == "error_type":
            return self._error_type(value)
        return value

    def _error_type(self, value: str) -> str:
        if value in self._error_types:
            return value
        with self._lock:
            if len(self._error_types) >= ERROR_TYPES_KEPT:
                return OTHER
            self._error_types.add(value)
            return value
