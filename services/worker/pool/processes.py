"""The pool of processes: Celery's prefork, with several tasks a write and several answers a read.

It replaces `celery.concurrency.prefork.TaskPool` with `AsynPool` and billiard's `Pool` below it, and
keeps their contract: with tasks (`process_child`), with the worker (callbacks, limits, `revoke`,
`max_tasks_per_child`, `max_memory_per_child`, `inspect stats`, growing and shrinking), and that it
lives in kombu's event loop, which it never keeps waiting. What is better:

- Children are fed a little work ahead (`pace`), and give back what waits behind a long task.
- A task has one outcome. A hard limit is told once; what a child answered before it died counts;
  whatever else it held runs elsewhere, once.
- A signal that ends a task, or warns it, does not meet the task after it.
- A child that dies at its start is replaced after a pause that grows.
"""

import signal
from typing import Any

from billiard.common import TERM_SIGNAL
from celery.concurrency.base import BasePool
from celery.exceptions import ImproperlyConfigured

from laneway.services.worker.pool.dispatch import Dispatcher
from laneway.services.worker.pool.face import Running, no_one_waits
from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.process_child import Recipe
from laneway.services.worker.pool.stopping import turn_while
from laneway.services.worker.pool.supervisor import EXIT_LIMIT_S

TERMINATE_LIMIT_S = 2.0
"""For a child to end on SIGTERM, when the worker is to be gone at once."""


class ProcessPool(BasePool):
    """A Celery pool; see `face.Pool` for what it offers beyond that."""

    uses_semaphore = False
    """Celery's would let it have one task a process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.on_room = no_one_waits
        self._hub: Any = None
        options = self.options
        recipe = Recipe(
            initargs=options.get("initargs") or (self.app, ""),
            max_tasks=options.get("maxtasksperchild"),
            max_memory_kib=options.get("max_memory_per_child"),
        )
        self._dispatcher = Dispatcher(
            recipe,
            self.app.conf.worker_proc_alive_timeout,
            on_room=self._tell_room,
        )
        self._supervisor = self._dispatcher.supervisor
        self._ended = False

    def on_start(self) -> None:
        """Start the processes."""
        if not self.forking_enable:
            raise ImproperlyConfigured(
                "worker_pool_start_method is 'spawn', and this pool forks. Set it to 'fork', or "
                "use Celery's pool: LANEWAY_POOL=celery."
            )
        self._supervisor.wanted = self.limit
        self._supervisor.fill()

    def did_start_ok(self) -> bool:
        """Whether no process died while it started."""
        return self._supervisor.started()

    def register_with_event_loop(self, loop: Any) -> None:
        """Live in this event loop; called again whenever it was reset."""
        self._hub = loop
        self._dispatcher.register(loop)

    def apply_async(
        self, target: Any, args: Any = None, kwargs: Any = None, **options: Any
    ) -> Job | None:
        """Hand over a task; None when the pool takes no more."""
        if self._state != self.RUN:
            return None
        options.setdefault("callbacks_propagate", self.callbacks_propagate)
        job = Job(target, args, kwargs, options, self._dispatcher.settle_soon)
        job.soft_s = job.soft_s or self.options.get("soft_timeout")
        job.hard_s = job.hard_s or self.options.get("timeout")
        if job.soft_s and job.hard_s and job.soft_s >= job.hard_s:
            job.soft_s = None
        self._dispatcher.add(job)
        return job

    # What a worker asks of it besides

    def room(self) -> int:
        """How many more tasks it would take now."""
        return self._dispatcher.room()

    def withdraw(self, older_than_s: float = 0.0) -> list[str]:
        """Take back what has surely not begun; see `face.Pool`."""
        return self._dispatcher.withdraw(older_than_s)

    def running(self) -> list[Running]:
        """What runs at this moment."""
        return self._dispatcher.running()

    def refresh(self) -> None:
        """Tell now what has begun and ended."""
        self._dispatcher.refresh()

    def alive(self) -> int:
        """How many processes can run tasks."""
        return sum(child.up and not child.leaving for child in self._dispatcher.children)

    def pids(self) -> tuple[int, ...]:
        """Of its processes."""
        return tuple(child.pid for child in tuple(self._dispatcher.children))

    def terminate_job(self, pid: int, signal: int | None = None) -> None:
        """End a task that this process runs, and with it the process.

        Which one, the caller says through `terminate` of what `apply_async` returned, as Celery's
        Request does right after this. Without that nothing ends: the task meant has ended by
        itself, and another may run in its process by now.
        """
        self._dispatcher.end_soon(pid, signal or TERM_SIGNAL)

    # Its size and its end

    def maintain_pool(self, *_: Any, **__: Any) -> None:
        """Replace what has ended."""
        self._supervisor.look()

    def restart(self) -> None:
        """Replace every process, each after the task it runs."""
        for child in self._dispatcher.children:
            self._dispatcher.requeue(child.recall())
            self._supervisor.dismiss(child)

    def grow(self, n: int = 1) -> None:
        """Run more processes."""
        self.limit += n
        self._supervisor.wanted = self.limit
        self._supervisor.fill()

    def shrink(self, n: int = 1) -> None:
        """Run fewer processes.

        Raises:
            ValueError: not so many are idle. Celery's autoscaler expects it.
        """
        children = self._dispatcher.children
        idle = [child for child in children if not child.given and not child.leaving]
        if len(idle) < n:
            raise ValueError("Can't shrink pool. All processes busy!")
        self.limit -= n
        self._supervisor.wanted = self.limit
        for child in idle[-n:]:
            self._supervisor.dismiss(child)

    def flush(self) -> None:
        """The broker was lost, and will deliver anew whatever has not begun."""
        self.withdraw()

    def on_close(self) -> None:
        """Give out no more tasks, and replace nobody."""
        self._dispatcher.open = self._supervisor.replacing = False

    def on_stop(self) -> None:
        """Finish what runs; what has not begun goes back to the broker with its channel."""
        if self._ended:
            return
        self._ended = True
        self.close()
        self.withdraw()
        turn_while(self._dispatcher.holds_begun, self._dispatcher.turn, self._hub)
        for child in self._dispatcher.children:
            self._supervisor.dismiss(child)
        self._see_off(EXIT_LIMIT_S)

    def on_terminate(self) -> None:
        """End everything now. Nobody hears of the tasks: the broker gets all of them back."""
        if self._ended:
            return
        self._ended = True
        self.on_close()
        self.withdraw()
        for child in self._dispatcher.children:
            child.given.clear()
            child.signal(signal.SIGCONT)
            child.end(TERM_SIGNAL)
        self._see_off(TERMINATE_LIMIT_S)

    def _see_off(self, limit_s: float) -> None:
        children = self._dispatcher.children
        turn_while(lambda: children, self._dispatcher.turn, self._hub, limit_s)
        for child in children:
            child.kill()
        turn_while(lambda: children, self._dispatcher.turn, None, limit_s)

    @property
    def num_processes(self) -> int:
        """How many processes there are to be."""
        return int(self.limit)

    def _tell_room(self) -> None:
        self.on_room()  # whoever listens by now

    def _get_info(self) -> dict[str, Any]:
        info: dict[str, Any] = super()._get_info()
        dispatcher, options = self._dispatcher, self.options
        return info | {
            "processes": [child.pid for child in dispatcher.children],
            "max-tasks-per-child": options.get("maxtasksperchild") or "N/A",
            "put-guarded-by-semaphore": False,
            "timeouts": (options.get("soft_timeout") or 0, options.get("timeout") or 0),
            "writes": {"total": dispatcher.writes, "tasks": dispatcher.written},
        }
