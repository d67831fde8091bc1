"""A worker's pool without a worker: a real pool on a real event loop, and what it tells of tasks."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billiard.einfo import ExceptionWithTraceback
from celery import Celery
from celery.app import trace
from kombu.asynchronous import Hub, set_event_loop
from kombu.asynchronous.semaphore import LaxBoundedSemaphore
from kombu.asynchronous.timer import Timer
from kombu.serialization import prepare_accept_content

LIMIT_S = 30.0
SETTLE_S = 0.3


@dataclass
class Told:
    """All that the pool told of one task, in order."""

    name: str
    events: list[str] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    value: Any = None
    job: Any = None

    def outcomes(self) -> list[str]:
        return [event for event in self.events if event != "soft"]


class PoolRun:
    """A started pool; its event loop turns inside `until`."""

    def __init__(self, pool_class: type, concurrency: int = 2, **options: Any) -> None:
        self.app = Celery("pool", set_as_current=False, broker="memory://")
        self.app.conf.update(result_backend="cache+memory://", worker_hijack_root_logger=False)
        self.hub = Hub(timer=Timer(max_interval=10.0))
        set_event_loop(self.hub)
        self.told: list[Told] = []
        self.pool = pool_class(
            concurrency,
            app=self.app,
            putlocks=False,
            threads=False,
            forking_enable=True,
            semaphore=LaxBoundedSemaphore(concurrency),
            max_restarts=100,
            **{"initargs": (self.app, "pool@test"), **options},
        )

    def start(self) -> None:
        accept = prepare_accept_content(self.app.conf.accept_content)
        trace._localized[:] = [self.app._tasks, accept, "pool@test"]
        self.pool.start()
        self.pool.register_with_event_loop(self.hub)

    def send(self, target: Callable[..., Any], *args: Any, **options: Any) -> Told:
        """Hand a call over; options are those of `apply_async`."""
        name = options.pop("name", f"{target.__name__}-{len(self.told)}")
        told = Told(name)
        self.told.append(told)

        def accepted(pid: int, began_s: float) -> None:
            told.accepted.append(pid)

        def succeeded(value: Any) -> None:
            told.value = value
            told.events.append("success")

        def failed(info: Any) -> None:
            error = info.exception
            told.value = error.exc if isinstance(error, ExceptionWithTraceback) else error
            told.events.append(type(told.value).__name__)

        def timed_out(soft: bool, timeout: float) -> None:
            told.events.append("soft" if soft else "hard")

        told.job = self.pool.apply_async(
            target,
            args,
            {},
            correlation_id=name,
            **{
                "accept_callback": accepted,
                "callback": succeeded,
                "error_callback": failed,
                "timeout_callback": timed_out,
                **options,
            },
        )
        return told

    def trace(self, task: Any, *args: Any, **options: Any) -> Told:
        """Hand a task over as Celery's worker does."""
        task_id = f"{task.name}-{len(self.told)}"
        request = {"id": task_id, "task": task.name, "retries": 0, "delivery_info": {}}
        body = json.dumps([args, {}, {}]).encode()
        call = (task.name, task_id, request, body, "application/json", "utf-8")
        return self.send(trace.fast_trace_task, *call, name=task_id, **options)

    def turn(self) -> None:
        """The event loop once; it waits at most for the next timer."""
        with suppress(StopIteration):
            next(self.hub.loop)

    def until(self, condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
        """Turn the loop until there is a true answer; fails naming `what` else."""
        ticking = self.hub.call_repeatedly(0.01, _nothing)
        deadline_s = time.monotonic() + limit_s
        try:
            while not (answer := condition()):
                assert time.monotonic() < deadline_s, f"waited {limit_s:.0f} s in vain for {what}"
                self.turn()
        finally:
            ticking.cancel()
        return answer

    def until_told(self, *told: Told, limit_s: float = LIMIT_S) -> None:
        """Turn the loop until these, or all, have an outcome, and a moment longer for a second."""
        waiting = told or tuple(self.told)
        self.until(lambda: all(t.outcomes() for t in waiting), f"{len(waiting)} outcomes", limit_s)
        settled_s = time.monotonic() + SETTLE_S
        self.until(lambda: time.monotonic() > settled_s, "a moment")

    def pids(self) -> list[int]:
        return list(self.pool.info["processes"])

    def until_up(self) -> None:
        """Turn the loop until every process has run a task."""
        warm = [self.send(_nothing) for _ in range(4)]
        self.until_told(*warm)

    def stop(self) -> None:
        self.pool.close()
        self.pool.stop()


@contextmanager
def running_pool(pool_class: type, concurrency: int = 2, **options: Any) -> Iterator[PoolRun]:
    """A pool that has started, and is terminated in the end if it has not ended by then."""
    run = PoolRun(pool_class, concurrency, **options)
    localized = list(trace._localized)
    run.start()
    try:
        yield run
    finally:
        run.pool.terminate()
        trace._localized[:] = localized
        run.hub.close()
        set_event_loop(None)


class Marks:
    """A file to which tasks in any process add lines, each in one write."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "marks"
        self.path.touch()

    def counts(self) -> Counter[str]:
        return Counter(self.path.read_text().split())


def _nothing() -> None:
    return None
