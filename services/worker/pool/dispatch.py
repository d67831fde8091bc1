"""Which task goes to which child, and what becomes of it: the heart of the pool of processes."""

import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from billiard.common import human_status
from billiard.exceptions import Terminated, WorkerLostError

from laneway.observability.logs import get_logger
from laneway.services.worker.pool import calls
from laneway.services.worker.pool.calls import error_info
from laneway.services.worker.pool.face import Running
from laneway.services.worker.pool.frames import Frame
from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.limits import Watch
from laneway.services.worker.pool.pace import Pace
from laneway.services.worker.pool.process import LOST_TEXT, PoolProcess
from laneway.services.worker.pool.process_child import Recipe
from laneway.services.worker.pool.supervisor import Supervisor

logger = get_logger(__name__)

APART_S = 0.002
"""Tasks that come closer together than this go out together, which costs less."""


class Dispatcher:
    """Holds the tasks that wait, feeds the children, and tells every task's outcome once.

    Args:
        recipe: what the children are made with.
        up_within_s: how long one may take to start.
        on_room: called when there is room again.
    """

    def __init__(self, recipe: Recipe, up_within_s: float, on_room: Callable[[], None]) -> None:
        self._on_room = on_room
        self.supervisor = Supervisor(recipe, up_within_s, self._on_answers, self._on_end)
        self.children = self.supervisor.children
        self.open = True
        self.writes = self.written = 0
        self._backlog: deque[Job] = deque()
        self._added_at_s = 0.0
        # Outcomes that have come and are not told yet: telling one may raise.
        self._heard: deque[tuple[PoolProcess, int, bool, Any, float]] = deque()
        self._pace = Pace()
        self._watch = Watch(self)
        self._hub: Any = None
        self._feeding = self._settling = False

    def register(self, hub: Any) -> None:
        """Live in this event loop; again after each of its resets."""
        self._hub = hub
        # What was to be called in its next turn may have been lost with the reset.
        self._feeding = self._settling = False
        self.supervisor.register(hub)
        self._watch.register(hub)
        for child in self.children:
            self._send(child)
        self._feed_soon()
        self.settle_soon()

    # What is handed over

    def add(self, job: Job) -> None:
        """Take a task on; one that comes alone goes to a child that has nothing to do at once."""
        self._backlog.append(job)
        alone = job.handed_over_s - self._added_at_s > APART_S
        self._added_at_s = job.handed_over_s
        if alone and self._hub is not None and self._has_idle_child():
            self._feed()
        else:
            self._feed_soon()

    def _has_idle_child(self) -> bool:
        return any(child.up and not child.given for child in self.children)

    def requeue(self, jobs: Iterable[Job]) -> None:
        """Put tasks that have not begun before all others that wait."""
        back = list(jobs)
        if back:
            self._backlog.extendleft(reversed(back))
            self._feed_soon()

    def room(self) -> int:
        """How many more tasks are wanted."""
        if not self.open:
            return 0
        # Not those that only start, nor behind long tasks: what is claimed for them would wait, and
        # could run elsewhere.
        ready = [c for c in self.children if c.up and not c.leaving and not c.runs_long]
        held = len(self._backlog) + sum(len(child.given) for child in ready)
        return max(0, self._pace.capacity(len(ready)) - held)

    def withdraw(self, older_than_s: float) -> list[str]:
        """Give up what has not begun and has waited for so long."""
        before_s = time.monotonic() - older_than_s
        for child in self.children:
            if any(job.handed_over_s <= before_s for job in child.given.values()):
                self.requeue(child.recall())
        taken = [job for job in self._backlog if job.handed_over_s <= before_s]
        if taken:
            gone = set(map(id, taken))
            self._backlog = deque(job for job in self._backlog if id(job) not in gone)
        return [job.correlation_id or "" for job in taken]

    def holds_begun(self) -> bool:
        """Whether a child still has a task; all that it has not begun was withdrawn before."""
        return any(child.given for child in self.children)

    def _feed_soon(self) -> None:
        """In the loop's next turn, together with all else that comes in this one."""
        if not self._feeding and self._hub is not None:
            self._feeding = True
            self._hub.call_soon(self._feed)

    def _feed(self) -> None:
        self._feeding = False
        if not self.open or not self._backlog:
            return
        takers = sorted((c for c in self.children if c.up), key=lambda child: child.load_s)
        fed = set()
        while takers and self._next():
            # One each in turn, so that all get their share.
            ready, takers = takers, []
            for child in ready:
                job = self._next()
                if job is not None and child.takes(job):
                    child.give(self._backlog.popleft())
                    takers.append(child)
            fed.update(takers)
        for child in fed:
            self._send(child)
        self._watch.arm()

    def _next(self) -> Job | None:
        """The first task that waits and can be sent at all."""
        while self._backlog:
            job = self._backlog[0]
            if job.expired():
                self._backlog.popleft()
                job.expire()
            elif job.encode():
                job.expected_s = self._pace.expected_s(job.name)
                return job
            else:
                self._backlog.remove(job)
        return None

    def _send(self, child: PoolProcess) -> None:
        if child.tasks_fd < 0 or not child.outbox:
            return
        self.writes += 1
        if not child.send():
            self.supervisor.await_writable(child, self._send)
            child.blocked = True
        elif child.blocked:
            self.supervisor.forget_writer(child)
            child.blocked = False

    # What comes back

    def _on_answers(self, child: PoolProcess) -> None:
        self.hear(child)
        self._go_on()

    def _go_on(self) -> None:
        self._feed()
        if self.room():
            self._on_room()

    def hear(self, child: PoolProcess, *, everything: bool = False) -> None:
        """Take note of what a child has said."""
        try:
            for frame in child.frames(everything=everything):
                self._read(child, frame)
        except (ValueError, TypeError, EOFError) as error:
            # Only a task that writes to descriptors which are not its own can bring this about.
            logger.exception("a pool process talks nonsense", error_type=type(error).__name__)
            child.garbled = child.mute = True
            child.kill()
        if child.mute:
            self.supervisor.mute(child)
        self._tell()

    def _read(self, child: PoolProcess, frame: Frame) -> None:
        kind = frame.kind
        if kind == calls.ANSWERS:
            for number, text, runtime_s, spent_s in calls.decode_answers(frame.payload):
                self._heard.append((child, number, True, (0, text, runtime_s), spent_s))
        elif kind == calls.OUTCOME:
            self._heard.append((child, frame.number, *calls.decode_outcome(frame.payload)))
        elif kind == calls.SKIPPED:
            self.requeue(child.skipped(frame))
        elif kind == calls.UP:
            child.mark_up(frame)
            self.supervisor.note_up()
        elif kind == calls.LEAVING:
            self._tell()
            child.mark_leaving()
            child.said_goodbye = True
            self.requeue(child.not_begun())
        else:
            raise ValueError(f"A frame of kind {kind} from a pool process is none of its kinds.")

    def _tell(self) -> None:
        heard = self._heard
        while heard:
            child, number, ended, value, spent_s = heard.popleft()
            began_s = child.began_s(number)
            job = child.take(number)
            if job is None:
                continue  # settled before its answer came
            self.written += 1
            self._pace.observe(job.name, spent_s)
            job.accept(child.pid, began_s)
            if ended:
                job.succeed(value)
            else:
                job.fail(value)

    def end_unsaid(self, child: PoolProcess) -> None:
        """Settle what has ended well and will not, or not soon, be told by its child."""
        for number in child.done_unsaid():
            spent_s = child.spent_s(number)
            self._heard.append((child, number, True, (0, LOST_TEXT, spent_s), spent_s))
        self._tell()

    def _on_end(self, child: PoolProcess) -> None:
        """A child is dead: what it had done counts, what it had not begun goes elsewhere."""
        self.hear(child, everything=True)
        self.end_unsaid(child)
        self.requeue(child.not_begun())
        # One at most, unless its answers could not be read.
        for number, job in tuple(child.given.items()):
            child.take(number)
            job.accept(child.pid, child.began_s(number))
            job.fail(error_info(_reason(job, child)))
        self._go_on()

    # What runs

    def running(self) -> list[Running]:
        """By the children's own words."""
        found = []
        for child in self.children:
            current = child.now()
            if current is not None:
                _, job, began_s = current
                found.append(Running(job.correlation_id, child.pid, began_s))
        return found

    def refresh(self) -> None:
        """Tell of what has ended and begun, as of now."""
        for child in tuple(self.children):
            self.hear(child)
            current = child.now()
            if current is not None:
                _, job, began_s = current
                job.accept(child.pid, began_s)

    def end_soon(self, pid: int, number: int) -> None:
        """Send this signal to the child of this pid, for the task that is meant."""
        for child in self.children:
            if child.pid == pid:
                child.to_signal = number
                self.settle_soon()

    def settle_soon(self) -> None:
        """In the loop's next turn, when all that is said about a task has been said."""
        if not self._settling and self._hub is not None:
            self._settling = True
            self._hub.call_soon(self._settle)

    def _settle(self) -> None:
        """Carry out what was asked of single tasks: to end them, begun or not."""
        self._settling = False
        # Before answers are heard: one that has just ended must not be mistaken for the next.
        meant = {c.pid: c.called_off() for c in self.children if c.to_signal is not None}
        self.refresh()
        for child in tuple(self.children):
            if child.to_signal is not None:
                self._signal(child, meant.get(child.pid) or child.called_off())
            elif child.called_off():
                self.requeue(child.recall())
        for job in [job for job in self._backlog if job.terminated is not None]:
            self._backlog.remove(job)
            job.accept(os.getpid(), time.monotonic())
            job.fail(error_info(Terminated(job.terminated)))

    def _signal(self, child: PoolProcess, meant: int | None) -> None:
        number, child.to_signal = child.to_signal or 0, None
        # With nothing behind it the signal cannot meet another task.
        self.requeue(child.recall())
        current = child.now()
        if current is None or current[0] != meant:
            return  # it has ended by itself
        running, job, _ = current
        job.terminated = number
        if number == signal.SIGUSR1:
            child.warn(running)
        else:
            child.end(number)

    # While the pool ends, after Celery's loop

    def turn(self, wait_s: float) -> None:
        """One turn: wait for any child to say something or to end, and act on it."""
        poller = select.poll()
        for child in self.children:
            if not child.mute:
                poller.register(child.answers_fd, select.POLLIN)
            if child.pid_fd is not None:
                poller.register(child.pid_fd, select.POLLIN)
        poller.poll(int(wait_s * 1000))
        for child in tuple(self.children):
            self.hear(child)
        if self._settling:
            self._settle()
        self.supervisor.look()


def _reason(job: Job, child: PoolProcess) -> Any:
    if job.terminated is not None:
        return Terminated(job.terminated)
    return WorkerLostError(f"Worker exited prematurely: {human_status(child.exit_code)}.")
