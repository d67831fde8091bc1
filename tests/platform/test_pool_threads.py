"""The pool of threads tells everything in the event loop, once, whatever a task raises."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from laneway.services.worker.pool import ThreadPool
from pool_harness import Marks, running_pool
from task_modules import pool_tasks as tasks

pytestmark = pytest.mark.platform


@pytest.fixture
def path(tmp_path):
    return str(Marks(tmp_path).path)


@pytest.mark.parametrize(
    ("target", "outcome"),
    [
        (tasks.give, "success"),
        (tasks.fail, "ValueError"),
        (tasks.exhaust, "MemoryError"),
        (tasks.leave, "WorkerLostError"),
        (tasks.interrupt, "WorkerLostError"),
    ],
)
def test_a_task_has_one_outcome_and_its_thread_lives_on(target, outcome):
    with running_pool(ThreadPool) as run:
        sent = [run.send(target) for _ in range(6)]
        after = [run.send(tasks.give) for _ in range(6)]
        run.until_told(*sent, *after)
        assert {tuple(told.events) for told in sent} == {(outcome,)}
        assert {tuple(told.events) for told in after} == {("success",)}
        assert all(len(told.accepted) == 1 for told in sent)


def test_callbacks_come_in_the_event_loops_thread():
    where = set()
    with running_pool(ThreadPool) as run:
        for _ in range(50):
            run.send(
                tasks.give,
                accept_callback=lambda *_: where.add(threading.get_ident()),
                callback=lambda _: where.add(threading.get_ident()),
            )
        run.until(lambda: run.pool._held == 0, "all to end")
    assert where == {threading.get_ident()}


def test_a_loop_that_sleeps_is_woken_by_what_ends(path):
    """With nothing else to wake it: no timer, no other descriptor."""
    with running_pool(ThreadPool, concurrency=1) as run:
        told = run.send(tasks.mark, path, "one", 0.05)
        deadline_s = time.monotonic() + 20
        turns = 0
        while not told.events and time.monotonic() < deadline_s:
            run.turn()
            turns += 1
        assert told.events == ["success"]
        assert turns < 50


def test_withdrawn_tasks_never_run(path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ThreadPool) as run:
        held = [run.send(tasks.hold, path, str(release), name=f"held-{n}") for n in range(2)]
        run.until(lambda: len(run.pool.running()) == 2, "both to run")
        assert {each.correlation_id for each in run.pool.running()} == {"held-0", "held-1"}
        waiting = [run.send(tasks.mark, path, "waited", name=f"waiting-{n}") for n in range(3)]
        assert run.pool.room() == 0
        assert run.pool.withdraw(older_than_s=60) == []
        assert run.pool.withdraw() == [told.name for told in waiting]
        release.touch()
        run.until_told(*held)
        assert run.pool.running() == []
        assert not any(told.events for told in waiting)
    assert "waited" not in Path(path).read_text()


def test_room_opens_up_as_tasks_end():
    calls = Counter()
    with running_pool(ThreadPool) as run:
        run.pool.on_room = lambda: calls.update(["room"])
        assert run.pool.room() == 2
        run.until_told(*[run.send(tasks.give) for _ in range(60)])
        assert calls["room"] > 0
        assert run.pool.room() > 8
        run.pool.close()
        assert run.pool.room() == 0


def test_a_warm_stop_finishes_what_runs_and_leaves_the_rest(path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ThreadPool) as run:
        held = [run.send(tasks.hold, path, str(release)) for _ in range(2)]
        run.until(lambda: len(run.pool.running()) == 2, "both to run")
        waiting = run.send(tasks.give)
        threading.Timer(0.2, release.touch).start()
        run.stop()
        assert [told.events for told in held] == [["success"]] * 2
        assert not waiting.events


def test_an_abandoned_pool_stops_although_a_thread_runs_on(path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ThreadPool) as run:
        held = run.send(tasks.hold, path, str(release))
        run.until(run.pool.running, "the task to run")
        run.pool.abandoned = True
        run.stop()
        assert not held.outcomes()
        release.touch()
