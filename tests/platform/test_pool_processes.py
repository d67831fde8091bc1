"""The pool of processes feeds ahead, takes back, replaces what dies, and runs nothing twice."""

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from celery import signals

from laneway.services.worker.pool import ProcessPool, watch_exits
from laneway.services.worker.pool.process_child import resident_kib
from pool_cases import terminate
from pool_harness import Marks, running_pool
from task_modules import pool_tasks as tasks

pytestmark = [
    pytest.mark.platform,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def marks(tmp_path):
    return Marks(tmp_path)


@pytest.fixture
def path(marks):
    return str(marks.path)


def test_what_waits_behind_a_long_task_is_run_by_another_process(marks, path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ProcessPool) as run:
        teach(run, tasks.mark, path, "known")
        quick = [run.send(tasks.mark, path, f"quick-{n}") for n in range(8)]
        # The pool takes both for the same quick kind.
        long = run.send(tasks.hold, path, str(release), name="long")
        run.pool._dispatcher._pace._by_name["hold"] = 0.0001
        quick += [run.send(tasks.mark, path, f"quick-{n}") for n in range(8, 16)]
        run.until_told(*quick)
        assert not long.outcomes()
        release.touch()
        run.until_told(long)
        assert {told.name: told.events for told in quick} == {t.name: ["success"] for t in quick}
    ran = marks.counts()
    assert [ran[f"quick-{n}"] for n in range(16)] == [1] * 16


def test_taking_back_at_every_moment_runs_nothing_twice(marks, path):
    """Both sides of the race, often: a task is taken back while its process begins it."""
    with running_pool(ProcessPool) as run:
        teach(run, tasks.mark, path, "known")
        dispatcher = run.pool._dispatcher
        sent, unsure = [], Counter()
        for batch in range(40):
            sent += [run.send(tasks.mark, path, f"{batch}-{n}") for n in range(50)]
            while any(not told.events for told in sent[-100:]):
                run.turn()
                for child in dispatcher.children:
                    dispatcher.requeue(child.recall())
                    unsure["left" if child.given else "none"] += 1
        run.until_told()
        assert [told.events for told in sent] == [["success"]] * len(sent)
    ran = marks.counts()
    assert {name: count for name, count in ran.items() if count != 1 and name != "known"} == {}
    assert unsure["left"] > 0
    assert unsure["none"] > 0


def test_kills_at_random_moments_cost_one_task_each_and_run_nothing_twice(marks, path):
    with running_pool(ProcessPool, concurrency=3) as run:
        teach(run, tasks.mark, path, "known")
        dice = random.Random(7)
        sent, kills = [], 0
        for batch in range(40):
            sent += [
                run.send(tasks.mark, path, f"{batch}-{n}", dice.choice([0, 0, 0.002]))
                for n in range(30)
            ]
            for _ in range(dice.randrange(1, 12)):
                run.turn()
            if run.pids():
                os.kill(dice.choice(run.pids()), signal.SIGKILL)
                kills += 1
        run.until_told()
    outcomes = Counter(tuple(told.events) for told in sent)
    assert outcomes.keys() <= {("success",), ("WorkerLostError",)}
    assert outcomes["WorkerLostError",] <= kills
    ran = marks.counts()
    assert {told.name for told in sent if len(told.accepted) != 1} == set()
    assert max(count for name, count in ran.items() if name != "known") == 1
    assert all(ran[argument(told)] == 1 for told in sent if told.events == ["success"])


def test_a_soft_limit_never_meets_the_task_after(path):
    """Limits that run out as their tasks end, before others without any."""
    with running_pool(ProcessPool, concurrency=1) as run:
        dice = random.Random(11)
        child = next(iter(run.pool._dispatcher.children))
        limited, free = [], []
        for _ in range(60):
            limited.append(run.send(tasks.give, soft_timeout=60))
            free.append(run.send(tasks.mark, path, "free", 0.003))
            # As the watch would, but now: for whichever runs, or has just ended.
            for _ in range(dice.randrange(4)):
                run.turn()
            current = child.now()
            if current is not None and current[1].soft_s:
                child.warn(current[0])
        run.until_told()
        assert {tuple(told.events) for told in free} == {("success",)}
        assert all(len(told.outcomes()) == 1 for told in limited)


def test_it_says_what_runs_and_tells_at_once_when_asked(marks, path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ProcessPool) as run:
        run.until_up()
        held = run.send(tasks.hold, path, str(release), name="held")
        run.until(lambda: marks.counts() and run.pool.running(), "the task to run")
        (running,) = run.pool.running()
        assert running.correlation_id == "held"
        assert str(running.pid) in marks.counts()
        assert 0 < time.monotonic() - running.started_monotonic_s < 60
        run.pool.refresh()
        assert held.accepted == [running.pid]
        release.touch()
        run.until_told(held)
        assert run.pool.running() == []
        assert held.accepted == [running.pid]


def test_withdrawn_tasks_never_run_and_are_never_told(marks, path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ProcessPool) as run:
        run.until_up()
        held = [run.send(tasks.hold, path, str(release)) for _ in range(2)]
        run.until(lambda: len(marks.counts()) == 2, "both to run")
        waiting = [run.send(tasks.mark, path, "waited", name=f"waiting-{n}") for n in range(5)]
        assert run.pool.withdraw(older_than_s=60) == []
        run.turn()
        assert sorted(run.pool.withdraw()) == [told.name for told in waiting]
        assert run.pool.withdraw() == []
        release.touch()
        run.until_told(*held)
        assert [told.events for told in waiting] == [[]] * 5
    assert marks.counts()["waited"] == 0


def test_room_is_a_slot_each_for_long_tasks_and_more_for_short_ones(path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ProcessPool, concurrency=3) as run:
        assert run.pool.room() == 0
        run.until(lambda: run.pool.alive() == 3, "all processes")
        assert run.pool.room() == 3
        held = [run.send(tasks.hold, path, str(release)) for _ in range(2)]
        assert run.pool.room() == 1
        calls = Counter()
        run.pool.on_room = lambda: calls.update(["room"])
        release.touch()
        run.until_told(*held)
        assert calls["room"] > 0
        teach(run, tasks.give)
        assert run.pool.room() > 3 * 8
        run.pool.close()
        assert run.pool.room() == 0


def test_processes_are_named_and_numbered_as_celerys(path):
    with running_pool(ProcessPool) as run:
        where = [run.send(tasks.whereabouts) for _ in range(20)]
        run.until_told(*where)
        seen = {told.value for told in where}
        assert {name.rpartition("-")[0] for _, name, _ in seen} == {"ForkPoolWorker"}
        assert {index for _, _, index in seen} <= {0, 1}
        os.kill(run.pids()[0], signal.SIGKILL)
        run.until(lambda: run.pool.alive() == 2, "the replacement")
        again = [run.send(tasks.whereabouts) for _ in range(20)]
        run.until_told(*again)
        assert {index for told in again for index in [told.value[2]]} <= {0, 1}


def test_a_process_is_replaced_after_its_most_tasks(path):
    reasons = Counter()
    watch_exits(lambda reason: reasons.update([reason]))
    with running_pool(ProcessPool, maxtasksperchild=5) as run:
        where = [run.send(tasks.whereabouts) for _ in range(40)]
        run.until_told(*where)
        per_process = Counter(told.value[0] for told in where)
        assert max(per_process.values()) == 5
        assert sum(per_process.values()) == 40
        run.until(lambda: reasons["recycled"] >= 7, "the recycled")
        assert set(reasons) == {"recycled"}


def test_memory_given_back_costs_no_process(path):
    """What a process holds counts, and not the most it ever held."""
    # Its processes begin with what this one holds, which is much after many tests.
    limit_kib = resident_kib() + 300_000
    with running_pool(ProcessPool, concurrency=1, max_memory_per_child=limit_kib) as run:
        used = [run.send(tasks.use_for_a_moment, 600) for _ in range(3)]
        run.until_told(*used)
        assert len({told.value for told in used}) == 1
        hoarding = [run.send(tasks.hoard, 500) for _ in range(2)]
        run.until_told(*hoarding)
        assert len({told.value for told in hoarding}) == 2


def test_a_process_that_hangs_at_its_end_is_killed(path, monkeypatch):
    monkeypatch.setattr("laneway.services.worker.pool.supervisor.EXIT_LIMIT_S", 0.5)

    def hang(**_):
        time.sleep(60)

    signals.worker_process_shutdown.connect(hang)
    try:
        with running_pool(ProcessPool, concurrency=1, maxtasksperchild=1) as run:
            sent = [run.send(tasks.whereabouts) for _ in range(3)]
            run.until_told(*sent)
            assert len({told.value[0] for told in sent}) == 3
    finally:
        signals.worker_process_shutdown.disconnect(hang)


def test_a_raising_receiver_at_start_costs_nothing(path):
    def burst(**_):
        raise ValueError("at start")

    signals.worker_process_init.connect(burst)
    try:
        with running_pool(ProcessPool) as run:
            run.until_told(*[run.send(tasks.give) for _ in range(4)])
    finally:
        signals.worker_process_init.disconnect(burst)


def test_processes_that_die_at_start_are_replaced_more_and_more_slowly(marks, path):
    def die(**_):
        tasks.note(path, "died")
        os._exit(1)

    signals.worker_process_init.connect(die)
    with running_pool(ProcessPool, concurrency=1) as run:
        waiting = run.send(tasks.give)
        run.until(lambda: marks.counts()["died"] >= 3, "a few deaths")
        supervisor = run.pool._supervisor
        assert not run.pool.did_start_ok()
        assert supervisor._resume_s - time.monotonic() < 10
        assert not waiting.events
        signals.worker_process_init.disconnect(die)
        run.until_told(waiting)
        assert waiting.events == ["success"]


def test_a_process_that_does_not_come_up_is_replaced(path, tmp_path):
    first = tmp_path / "first"

    def sleep_once(**_):
        if not first.exists():
            first.touch()
            time.sleep(60)

    signals.worker_process_init.connect(sleep_once)
    try:
        with running_pool(ProcessPool, concurrency=1) as run:
            run.pool._supervisor._up_within_s = 0.5
            run.until_told(run.send(tasks.give))
    finally:
        signals.worker_process_init.disconnect(sleep_once)


def test_it_grows_and_shrinks_and_restarts(path, tmp_path):
    release = tmp_path / "release"
    with running_pool(ProcessPool, concurrency=2) as run:
        run.until_up()
        run.pool.grow(2)
        run.until(lambda: run.pool.alive() == 4, "four processes")
        assert run.pool.num_processes == 4
        held = [run.send(tasks.hold, path, str(release)) for _ in range(2)]
        run.until(lambda: len(run.pool.running()) == 2, "two to run")
        run.pool.shrink(2)
        run.until(lambda: len(run.pids()) == 2, "two processes")
        with pytest.raises(ValueError, match="busy"):
            run.pool.shrink(1)
        before = set(run.pids())
        run.pool.restart()
        release.touch()
        run.until_told(*held)
        assert [told.events for told in held] == [["success"]] * 2
        run.until(lambda: run.pool.alive() == 2 and not before & set(run.pids()), "two others")


def test_a_warm_stop_finishes_what_runs_and_leaves_no_process(marks, path):
    with running_pool(ProcessPool) as run:
        run.until_up()
        running = [run.send(tasks.mark, path, f"running-{n}", 0.5) for n in range(2)]
        run.until(lambda: len(marks.counts()) == 2, "both to run")
        waiting = run.send(tasks.mark, path, "waiting")
        pids = run.pids()
        run.stop()
        assert [told.events for told in running] == [["success"]] * 2
        assert not waiting.events
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        assert run.pool.apply_async(tasks.give) is None
    assert marks.counts()["waiting"] == 0


def test_a_task_that_ignores_the_polite_signal_ends_at_its_limit(marks, path):
    with running_pool(ProcessPool) as run:
        run.until_up()
        deaf = run.send(tasks.hold_whatever_comes, path, timeout=2)
        run.until(lambda: deaf.accepted and marks.counts(), "the task to run")
        terminate(run, deaf)
        run.until_told(deaf)
        assert deaf.events == ["hard"]


def test_a_second_task_is_not_ended_in_place_of_the_first(marks, path):
    """The order to end a task comes when it has just ended by itself."""
    with running_pool(ProcessPool, concurrency=1) as run:
        teach(run, tasks.mark, path, "known")
        for _ in range(30):
            first = run.send(tasks.mark, path, "first", 0.001)
            second = run.send(tasks.mark, path, "second", 0.001)
            run.until(lambda first=first: first.accepted or first.events, "the first")
            first.accepted = first.accepted or run.pids()
            terminate(run, first)
            run.until_told(second, limit_s=10)
            assert second.events == ["success"]
            assert first.outcomes() in (["success"], ["Terminated"])


def test_a_callback_that_raises_costs_its_own_task_alone():
    def refuse(*_):
        raise ValueError("not mine")

    with running_pool(ProcessPool) as run:
        run.until_up()
        run.send(tasks.give, accept_callback=refuse, callback=refuse)
        others = [run.send(tasks.give) for _ in range(6)]
        run.until_told(*others)
        assert run.pool.room() > 0


def test_the_loop_turns_on_while_large_tasks_and_answers_travel(path):
    """50 MB go in pieces: no turn of the loop moves more than a pipe takes."""
    with running_pool(ProcessPool) as run:
        run.until_up()
        run.send(tasks.weigh, b"x" * (50 * tasks.MEGABYTE))
        run.send(tasks.give_much, 50)
        turns = Counter()
        while not all(told.outcomes() for told in run.told):
            run.turn()
            turns["all"] += 1
            assert turns["all"] < 1_000_000
        assert turns["all"] > 50


def test_statistics_are_json(path):
    import json

    with running_pool(ProcessPool, maxtasksperchild=9) as run:
        run.until_up()
        info = json.loads(json.dumps(run.pool.info))
        assert sorted(info["processes"]) == sorted(run.pids())
        assert info["max-tasks-per-child"] == 9
        assert info["writes"]["tasks"] >= 4


def teach(run, target, *args):
    """Let the pool learn that this kind of task is quick."""
    for _ in range(4):
        run.until_told(*[run.send(target, *args) for _ in range(10)])


def argument(told):
    """The mark that a task of `mark` leaves."""
    return told.job.args[1]
