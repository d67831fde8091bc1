"""What tasks can do to a pool, one case each, for Laneway's pool and for Celery's."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pool_harness import Marks, PoolRun, Told, running_pool
from task_modules import pool_tasks as tasks

Act = Callable[[PoolRun, Marks], list[Told]]

NEIGHBOURS = 6
ONCE_EACH = "once each"


@dataclass(frozen=True)
class Case:
    """Something that befalls one task or more, and all that is to be told of each of them."""

    name: str
    act: Act
    expected: list[list[str]]
    options: dict[str, Any] = field(default_factory=dict)
    limit_s: float = 20.0

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Seen:
    """What was told of the case's tasks, and what became of others beside them."""

    told: list[list[str]]
    neighbours: str


def observe(case: Case, pool_class: type, folder: Path) -> Seen:
    """Run a case, with quick tasks handed over right behind it."""
    marks = Marks(folder)
    with running_pool(pool_class, **case.options) as run:
        run.until_up()
        mains = case.act(run, marks)
        names = [f"neighbour-{number}" for number in range(NEIGHBOURS)]
        neighbours = [run.send(tasks.mark, str(marks.path), name) for name in names]
        try:
            run.until_told(*mains, *neighbours, limit_s=case.limit_s)
        except AssertionError as stuck:
            return Seen(
                [told.events for told in mains], f"{stuck}: {_odd(names, neighbours, marks)}"
            )
        return Seen([told.events for told in mains], _odd(names, neighbours, marks))


def _odd(names: list[str], neighbours: list[Told], marks: Marks) -> str:
    ran = marks.counts()
    odd = {
        name: (told.events, ran[name])
        for name, told in zip(names, neighbours, strict=True)
        if told.events != ["success"] or ran[name] != 1
    }
    return str(odd) if odd else ONCE_EACH


def one(target: Callable[..., Any], *args: Any, **options: Any) -> Act:
    return lambda run, _: [run.send(target, *args, **options)]


def noted(target: Callable[..., Any], *args: Any, **options: Any) -> Act:
    """A task that wants the file of marks."""
    return lambda run, marks: [run.send(target, str(marks.path), *args, **options)]


def _terminated(target: Callable[..., Any], run: PoolRun, marks: Marks) -> list[Told]:
    told = run.send(target, str(marks.path))
    run.until(lambda: marks.counts() and told.accepted, "the task to run")
    terminate(run, told)
    return [told]


def terminate(run: PoolRun, told: Told) -> None:
    """As Celery's `Request.terminate` does."""
    run.pool.terminate_job(told.accepted[0], signal.SIGTERM)
    told.job.terminate(signal.SIGTERM)


def _called_off_before_it_began(run: PoolRun, marks: Marks) -> list[Told]:
    held = [run.send(tasks.hold, str(marks.path), f"{marks.path}.go") for _ in range(2)]
    run.until(lambda: len(marks.counts()) == 2 and all(h.accepted for h in held), "both to run")
    waiting = run.send(tasks.give)
    waiting.job.terminate(signal.SIGTERM)
    run.turn()
    Path(f"{marks.path}.go").touch()
    return [waiting, *held]


def _idle_is_killed(run: PoolRun, marks: Marks) -> list[Told]:
    del marks
    for pid in run.pids():
        os.kill(pid, signal.SIGKILL)
    return []


def _receiving_is_killed(run: PoolRun, marks: Marks) -> list[Told]:
    """Both are stopped, so that no more than a pipe's worth of the task can reach either."""
    del marks
    pids = run.pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    told = run.send(tasks.weigh, b"x" * (50 * tasks.MEGABYTE))
    for _ in range(5):
        run.turn()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return [told]


def _replying_is_killed(run: PoolRun, marks: Marks) -> list[Told]:
    """Killed while its large answer waits in a pipe that nobody reads."""
    told = run.send(_note_and_give_much, str(marks.path))
    run.until(marks.counts, "the task to end")
    (pid,) = (int(text) for text in marks.counts())
    os.kill(pid, signal.SIGKILL)
    return [told]


def _note_and_give_much(path: str) -> bytes:
    load = tasks.give_much(50)
    tasks.note(path, str(os.getpid()))
    return load


SOFT, HARD, GOOD = "soft", "hard", "success"

CASES = [
    Case("returns", one(tasks.give, 1), [[GOOD]]),
    Case("raises", one(tasks.fail), [["ValueError"]]),
    Case("sys.exit", one(tasks.leave), [["SystemExit"]]),
    Case("os._exit", one(tasks.vanish), [["WorkerLostError"]]),
    Case("MemoryError", one(tasks.exhaust), [["MemoryError"]]),
    Case("KeyboardInterrupt", one(tasks.interrupt), [["KeyboardInterrupt"]]),
    Case("SIGKILL", one(tasks.kill_itself, signal.SIGKILL), [["WorkerLostError"]]),
    Case("SIGSEGV", one(tasks.kill_itself, signal.SIGSEGV), [["WorkerLostError"]]),
    Case("SIGTERM", one(tasks.kill_itself, signal.SIGTERM), [["WorkerLostError"]]),
    Case(
        "soft limit",
        noted(tasks.hold, soft_timeout=0.5),
        [[SOFT, "SoftTimeLimitExceeded"]],
    ),
    Case("soft limit handled", one(tasks.hold_and_handle_soft, soft_timeout=0.5), [[SOFT, GOOD]]),
    Case(
        "hard limit",
        noted(tasks.hold, timeout=0.5),
        [[HARD]],
    ),
    Case(
        "soft limit ignored, then hard",
        noted(tasks.hold_whatever_comes, soft_timeout=0.5, timeout=1),
        [[SOFT, HARD]],
    ),
    Case(
        "soft limit behind the hard one",
        noted(tasks.hold, soft_timeout=5, timeout=0.5),
        [[HARD]],
    ),
    Case("terminated", partial(_terminated, tasks.hold), [["Terminated"]]),
    Case(
        "called off before it began",
        _called_off_before_it_began,
        [["Terminated"], [GOOD], [GOOD]],
    ),
    Case("idle process killed", _idle_is_killed, []),
    Case("killed while receiving", _receiving_is_killed, [[GOOD]]),
    Case("killed while replying", _replying_is_killed, [["WorkerLostError"]]),
    Case("unpicklable result", one(tasks.give_what_cannot_be_sent), [["MaybeEncodingError"]]),
    Case(
        "error that cannot be unpickled",
        one(tasks.raise_what_cannot_be_read),
        [["MaybeEncodingError"]],
    ),
    Case(
        "unpicklable argument",
        one(tasks.give, lambda: None),
        [["PicklingError"]],
    ),
    Case("result of 50 MB", one(tasks.give_much, 50), [[GOOD]]),
    Case("argument of 50 MB", one(tasks.weigh, b"x" * (50 * tasks.MEGABYTE)), [[GOOD]]),
    Case("stdout flood", one(tasks.flood, 20), [[GOOD]]),
    Case("forks, the copy exits", one(tasks.fork_and_exit), [[GOOD]]),
    Case("forks, the copy returns", noted(tasks.fork_and_return), [[GOOD]]),
    Case(
        "forks, the copy raises",
        one(tasks.fork_and_raise),
        [[GOOD]],
    ),
    Case(
        "leaves a process behind, dies",
        noted(tasks.leave_a_process_behind_and_die),
        [["WorkerLostError"]],
    ),
    Case("closes 0, 1, 2", one(tasks.close_standard_files), [[GOOD]]),
    Case(
        "closes every file",
        one(tasks.close_every_file),
        [["WorkerLostError"]],
    ),
    Case("writes into every file", one(tasks.write_into_every_file), [["WorkerLostError"]]),
    Case("leaves a thread", one(tasks.leave_a_thread), [[GOOD]]),
    Case("leaves signals ignored", one(tasks.take_signals), [[GOOD]]),
    Case("max tasks", one(tasks.give), [[GOOD]], {"maxtasksperchild": 1}),
    Case("max memory", one(tasks.hoard, 80), [[GOOD]], {"max_memory_per_child": 100_000}),
]
