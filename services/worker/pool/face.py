"""What the worker may ask of its pool, whichever pool it is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Running:
    """A task that runs right now."""

    correlation_id: str | None
    pid: int
    started_monotonic_s: float
    """When it began, on the clock of `time.monotonic`."""


class Pool(Protocol):
    """A pool that feeds its processes or threads ahead, and can take back what it fed.

    It is also a Celery pool (`celery.concurrency.base.BasePool`), with what that brings: `start`,
    `close`, `stop`, `terminate`, `restart`, `grow`, `shrink`, `terminate_job`, `flush`, `info`,
    `num_processes`. Call all of it in the thread of the event loop, and no other.

    Every task handed over has one outcome, told through one of its callbacks, unless `withdraw` or
    `flush` took it back, or the pool has ended before it.
    """

    on_room: Callable[[], None]
    """Called in the event loop when tasks have ended and there is room again. May be replaced."""

    def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Hand a task over, as Celery does; what comes back has `terminate(signal)`."""

    def room(self) -> int:
        """How many more tasks it would take now.

        That is its free slots, and a little work ahead while tasks are short; 0 when it closes.
        It takes more than that too: they wait, and `withdraw` gives them back.
        """

    def alive(self) -> int:
        """How many processes or threads can run a task: the slots, as metrics call them."""

    def pids(self) -> tuple[int, ...]:
        """Its processes, none if it is threads. Safe to call from any thread."""

    def withdraw(self, older_than_s: float = 0.0) -> list[str]:
        """Take back what surely has not begun and was handed over at least so long ago.

        Returns their correlation ids. None of their callbacks is ever called.
        """

    def running(self) -> list[Running]:
        """What runs at this moment."""

    def refresh(self) -> None:
        """Tell now, through accept callbacks, what has begun, instead of a moment later."""


def no_one_waits() -> None:
    """For `on_room` before anybody listens."""
