"""A task in the pool's hands, from `apply_async` to its one outcome."""

import time
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import TimeLimitExceeded

from laneway.observability.logs import get_logger
from laneway.services.worker.pool.calls import call_name, encode_call, error_info

logger = get_logger(__name__)


class Job:
    """What Celery gets back from `apply_async`, and all that the pool knows of one task.

    Replaces billiard's `ApplyResult`. It keeps the contract of the callbacks, and `terminate`. New
    are `expires_s`, since the epoch, after which it does not begin, and `on_expired`, its outcome then.
    """

    __slots__ = (
        "__weakref__",
        "_accept_callback",
        "_callback",
        "_error_callback",
        "_expires_s",
        "_on_expired",
        "_on_terminate",
        "_propagate",
        "_timeout_callback",
        "accepted",
        "args",
        "correlation_id",
        "expected_s",
        "handed_over_s",
        "hard_s",
        "kind",
        "kwargs",
        "name",
        "payload",
        "size",
        "soft_s",
        "soft_told",
        "target",
        "terminated",
    )

    def __init__(
        self, target: Any, args: Any, kwargs: Any, options: dict[str, Any], on_terminate: Any
    ) -> None:
        get = options.get
        self.target, self.args, self.kwargs = target, args or (), kwargs or {}
        self.name = call_name(target, self.args)
        self.correlation_id: str | None = get("correlation_id")
        self.soft_s: float | None = get("soft_timeout") or None
        self.hard_s: float | None = get("timeout") or None
        self._callback = get("callback")
        self._error_callback = get("error_callback")
        self._accept_callback = get("accept_callback")
        self._timeout_callback = get("timeout_callback")
        self._expires_s: float | None = get("expires_s")
        self._on_expired = get("on_expired")
        self._propagate = tuple(get("callbacks_propagate") or ())
        self._on_terminate: Callable[[], None] = on_terminate
        self.handed_over_s = time.monotonic()
        self.expected_s = 0.0
        self.kind, self.payload, self.size = 0, b"", 0
        self.accepted = self.soft_told = False
        self.terminated: int | None = None

    def terminate(self, signum: int) -> None:
        """It was called off: if it dies of a signal, that is why; if it has not begun, it ends."""
        self.terminated = signum
        self._on_terminate()

    def expired(self) -> bool:
        """Whether it is too late to begin it."""
        return self._expires_s is not None and time.time() > self._expires_s

    def expire(self) -> None:
        """Tell that it expired while it waited."""
        self._tell(self._on_expired)

    def encode(self) -> bool:
        """Make the bytes that go to a child; False if it cannot be sent, and has failed of it."""
        if self.payload:
            return True
        try:
            self.kind, self.payload = encode_call(self.target, self.args, self.kwargs)
        except Exception:  # noqa: BLE001 - objects raise what they like when pickled
            self.fail(ExceptionInfo())
            return False
        self.size = len(self.payload)
        return True

    def accept(self, pid: int, began_s: float) -> None:
        """Tell, once, that it has begun."""
        if not self.accepted:
            self.accepted = True
            self._tell(self._accept_callback, pid, began_s)

    def succeed(self, value: Any) -> None:
        """Tell what it returned; with Celery's tracers also that it raised."""
        self._tell(self._callback, value)

    def fail(self, info: Any) -> None:
        """Tell of an error that Celery's tracer did not catch, or that befell its process."""
        self._tell(self._error_callback, info)

    def reach_soft_limit(self) -> None:
        """Tell that it is being warned."""
        self.soft_told = True
        self._tell(self._timeout_callback, soft=True, timeout=self.soft_s)

    def reach_hard_limit(self) -> None:
        """Tell that it was killed at its limit; billiard would call the error callback as well."""
        if self._timeout_callback is None:
            self.fail(error_info(TimeLimitExceeded(self.hard_s)))
            return
        self._tell(self._timeout_callback, soft=False, timeout=self.hard_s)

    def _tell(self, callback: Any, *args: Any, **kwargs: Any) -> None:
        if callback is None:
            return
        try:
            callback(*args, **kwargs)
        except MemoryError:
            raise
        except self._propagate:
            raise
        except Exception as error:
            logger.exception(
                "the worker could not take note of what became of a task",
                task_id=self.correlation_id,
                error_type=type(error).__name__,
            )
