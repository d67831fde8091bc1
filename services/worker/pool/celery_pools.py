"""Celery's own pools, for when a fault is to be told from ours (`LANEWAY_POOL=celery`)."""

from typing import Any

from celery.concurrency import thread
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool
from kombu.asynchronous import get_event_loop

from laneway.services.worker.pool.exits import tell_exit
from laneway.services.worker.pool.face import Running, no_one_waits


class CountingPool(AsynPool):
    """AsynPool that passes on the exit codes of its processes."""

    def _join_exited_workers(self, shutdown: bool = False) -> list[int | None]:
        codes: list[int | None] = super()._join_exited_workers(shutdown)
        for code in codes:
            tell_exit(code)
        return codes


class _Counted:
    """The face of `face.Pool`, as far as a pool of Celery's can have it: one task a slot."""

    limit: int
    on_room = staticmethod(no_one_waits)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._held: dict[int, tuple[str | None, int, float] | None] = {}
        self._next = 0

    def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Celery's own, with a soft limit only where it comes first, and counted."""
        soft_s, hard_s = options.get("soft_timeout"), options.get("timeout")
        if soft_s and hard_s and soft_s >= hard_s:
            # The pool would watch for the hard limit only after the soft one.
            options["soft_timeout"] = None
        # It is fed nothing ahead, so that nothing expires in it.
        options.pop("expires_s", None)
        options.pop("on_expired", None)
        self._next = key = self._next + 1
        self._held[key] = None
        for name in ("callback", "error_callback"):
            options[name] = self._ending(key, options.get(name))
        accept = options.get("accept_callback")
        task_id = options.get("correlation_id")

        def accepted(pid: int, began_s: float) -> None:
            if key in self._held:
                self._held[key] = (task_id, pid, began_s)
            if accept is not None:
                accept(pid, began_s)

        options["accept_callback"] = accepted
        result = super().apply_async(target, args, kwargs, **options)  # type: ignore[misc]
        if result is None:
            del self._held[key]  # it takes no more
        return result

    def room(self) -> int:
        """Free slots; it is fed nothing ahead."""
        return max(0, self.limit - len(self._held))

    def withdraw(self, older_than_s: float = 0.0) -> list[str]:
        """Nothing: what Celery's pools were given they keep."""
        del older_than_s
        return []

    def running(self) -> list[Running]:
        """What has said that it begins."""
        return [Running(*each) for each in tuple(self._held.values()) if each is not None]

    def refresh(self) -> None:
        """Nothing to do: its processes tell by themselves."""

    def alive(self) -> int:
        """How many tasks it can run at once."""
        return self.limit

    def pids(self) -> tuple[int, ...]:
        """None but for the pool of processes below."""
        return ()

    def _ending(self, key: int, callback: Any) -> Any:
        def ended(value: Any) -> None:
            self._held.pop(key, None)
            if callback is not None:
                callback(value)
            hub = get_event_loop()
            if hub is not None:
                hub.call_soon(self.on_room)

        return ended


class CeleryProcessPool(_Counted, TaskPool):
    """Celery's prefork pool over CountingPool."""

    Pool = CountingPool

    def alive(self) -> int:
        """How many processes there are."""
        return len(self.pids())

    def pids(self) -> tuple[int, ...]:
        """Of its processes."""
        processes = self._pool._pool if self._pool is not None else ()  # noqa: SLF001 - shown nowhere
        return tuple(process.pid for process in tuple(processes))


class CeleryThreadPool(_Counted, thread.TaskPool):
    """Celery's threads."""

    abandoned = False
    """Whether threads still run what was given back: the process is to end without them."""

    def on_stop(self) -> None:
        """Wait for what runs, unless it was given back."""
        self.executor.shutdown(wait=not self.abandoned, cancel_futures=True)
