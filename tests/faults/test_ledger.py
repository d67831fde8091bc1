"""The ledger's verdict, on histories written by hand, and its book in a real Redis."""

import os
import time

import pytest

import task_modules.ledger_tasks as tasks
from faults.ledger import ACK_GRACE_S, Cut, Run, judge, open_ledger, percentile

unit = pytest.mark.unit
A, B = "worker-a", "worker-b"


def run(task_id, started_s, ended_s=None, worker=A, pid=1, failed=False) -> Run:
    return Run(task_id, worker, pid, started_s, ended_s, failed)


def cut(at_s, worker=A, pid=None, lasts_s=0.0) -> Cut:
    return Cut(worker, at_s, at_s + lasts_s, pid)


def repeats(runs, cuts=()) -> tuple[int, int]:
    """In flight, and without cause."""
    verdict = judge([], runs, cuts, [])
    return verdict.repeated_in_flight, verdict.repeated_without_cause


@unit
def test_accepted_and_never_done_is_lost_unless_it_is_a_dead_letter() -> None:
    runs = [run("done", 1, 2), run("cut", 1), run("never accepted", 1, 2)]
    verdict = judge(["done", "cut", "gone", "dead"], runs, [cut(1.5)], ["dead"])
    assert verdict.lost == ("cut", "gone")
    assert (verdict.accepted, verdict.ran, verdict.attempts) == (4, 2, 3)


@unit
def test_an_id_accepted_twice_is_one_task() -> None:
    assert judge(["a", "a"], [], [], []).accepted == 1


@unit
@pytest.mark.parametrize(
    ("first", "fault", "expected"),
    [
        (run("a", 1, 2), None, (0, 1)),
        (run("a", 1, 2), cut(2 + ACK_GRACE_S / 2), (1, 0)),
        (run("a", 1, 2), cut(2 + ACK_GRACE_S * 2), (0, 1)),
        (run("a", 1, 9), cut(3, lasts_s=5), (1, 0)),
        (run("a", 1, 2), cut(2.1, worker=B), (0, 1)),
        (run("a", 1, 2), cut(2.1, pid=2), (0, 1)),
        (run("a", 1, 2), cut(2.1, pid=1), (1, 0)),
        (run("a", 1, 2), cut(0.5), (0, 1)),
        (run("a", 1), cut(2), (0, 0)),
        (run("a", 1, failed=True), cut(2), (0, 0)),
    ],
    ids=[
        "no fault",
        "ended just before the kill",
        "ended long before the kill",
        "ran on through a partition",
        "another worker was killed",
        "another process was killed",
        "its process was killed",
        "begun after the fault",
        "a run that was cut is no second end",
        "a run that failed is no second end",
    ],
)
def test_a_second_end_has_its_cause_in_a_cut_of_the_first(first, fault, expected) -> None:
    again = run("a", 20, 21, worker=B)
    assert repeats([first, again], [fault] if fault else []) == expected


@unit
def test_a_stop_excuses_nothing_that_had_ended() -> None:
    stopped = Cut(A, 2.1, 2.1, grace_s=0.0)
    assert repeats([run("a", 1, 2), run("a", 20, 21, worker=B)], [stopped]) == (0, 1)


@unit
def test_one_cut_excuses_one_more_run() -> None:
    runs = [run("a", 1), run("a", 5, 6, worker=B), run("a", 7, 8, worker=B)]
    assert repeats(runs, [cut(2)]) == (0, 1)


@unit
def test_recovery_is_the_time_from_the_cut_to_the_next_start() -> None:
    runs = [
        run("a", 1),
        run("a", 9, 10, worker=B),
        run("b", 1, 1.9),
        run("c", 1.5),
        run("e", 1, 2.5),
        run("e", 12, 13, worker=B),
        run("d", 1, 30),
        run("d", 8, 9, worker=B),
    ]
    verdict = judge("abcde", runs, [cut(2, lasts_s=20)], [])
    assert verdict.recoveries_s == (6.0, 7.0, 10.0)


@unit
def test_what_began_in_a_partition_recovers_from_its_own_start() -> None:
    runs = [run("a", 5), run("a", 9, 10, worker=B)]
    assert judge("a", runs, [cut(2, lasts_s=10)], []).recoveries_s == (4.0,)


@unit
def test_percentiles() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 0.5), percentile(values, 0.99)) == (50.0, 99.0)
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([], 0.5) is None


@pytest.mark.broker
def test_the_book_reads_what_tasks_write(tmp_path, monkeypatch) -> None:
    with open_ledger(tmp_path / "ledger") as ledger:
        monkeypatch.setenv("FAULTS_LEDGER_URL", ledger.url)
        monkeypatch.setenv("FAULTS_WORKER", A)
        ledger.accept("one", "two", "three")
        tasks.record("start", "one")
        assert [r.task_id for r in ledger.under_way()] == ["one"]
        ledger.cut(A, pid=os.getpid())
        with tasks.recorded("two"):
            pass
        with pytest.raises(ZeroDivisionError), tasks.recorded("three"):
            _ = 1 / 0
        tasks.record("start", "one")
        assert ledger.missing() == {"one", "three"}
        assert ledger.count() == (4, 1)
        assert (ledger.has_begun(A), ledger.has_begun(B)) == (True, False)
        assert [(r.worker, r.pid) for r in ledger.runs()] == [(A, os.getpid())] * 4
        assert [run.task_id for run in ledger.under_way()] == ["one", "one"]
        verdict = ledger.verdict(dead=["three"])
        assert (verdict.accepted, verdict.ran, verdict.attempts) == (3, 1, 4)
        assert verdict.lost == ("one",)
        assert len(verdict.recoveries_s) == 1
        assert 0 < verdict.recoveries_s[0] < time.monotonic()
        tasks._clients.pop(os.getpid()).close()
