"""What is told of a beginning, and when it is too late for it."""

import os
import time
from threading import Event, Thread

import pytest

from laneway.tasks.broker.beginnings import AFTER_S, Beginnings

pytestmark = pytest.mark.unit

LONG_S = 10.0


@pytest.fixture
def beginnings() -> Beginnings:
    return Beginnings()


def test_a_task_that_still_runs_a_moment_later_is_told_of_once(beginnings) -> None:
    told: list[str] = []
    both = Event()

    def store(_: float) -> None:
        told.append("task")
        if len(told) == 2:
            both.set()

    for _ in range(2):
        beginnings.note("task", store)
        deadline_s = time.monotonic() + LONG_S
        seen = len(told)
        while len(told) == seen:
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        beginnings.drop("task")
    assert both.wait(LONG_S)
    time.sleep(3 * AFTER_S)
    assert told == ["task", "task"]


def test_what_has_stored_another_state_is_not_told_of_afterwards(beginnings) -> None:
    told: list[str] = []
    beginnings.note("done", lambda _: told.append("done"))
    beginnings.drop("done")
    other = Event()
    beginnings.note("other", lambda _: other.set())
    assert other.wait(LONG_S)
    assert told == []


def test_a_task_that_ends_without_a_state_is_told_of_at_once_and_never_again(beginnings) -> None:
    """Celery stores nothing of a task that rejects its message; its worker does, after this."""
    told: list[str] = []
    beginnings.note("rejected", lambda _: told.append("rejected"))
    beginnings.end(well=True)
    assert told == ["rejected"]
    beginnings.end(well=True)
    time.sleep(3 * AFTER_S)
    assert told == ["rejected"]


def test_a_task_that_was_ended_is_not_told_of(beginnings) -> None:
    told: list[str] = []
    beginnings.note("terminated", lambda _: told.append("terminated"))
    beginnings.end(well=False)
    time.sleep(3 * AFTER_S)
    assert told == []


def test_another_state_waits_for_a_beginning_that_is_being_stored(beginnings) -> None:
    order: list[str] = []
    begun, release = Event(), Event()

    def store(_: float) -> None:
        begun.set()
        release.wait(LONG_S)
        order.append("started")

    beginnings.note("task", store)
    assert begun.wait(LONG_S)
    ending = Thread(target=lambda: (beginnings.drop("task"), order.append("success")))
    ending.start()
    time.sleep(AFTER_S)
    assert order == []
    release.set()
    ending.join(LONG_S)
    assert order == ["started", "success"]


def test_a_forked_process_tells_of_its_own_tasks_alone(beginnings) -> None:
    read, write = os.pipe()
    began = Event()
    beginnings.note("parent", lambda _: began.set())
    assert began.wait(LONG_S)
    beginnings.note("parent", lambda _: os.write(write, b"parent"))
    pid = os.fork()
    if pid == 0:
        beginnings.forget()
        told = Event()
        beginnings.note("child", lambda _: told.set())
        os._exit(0 if told.wait(LONG_S) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert os.read(read, 100) == b"parent"
    os.close(read)
    os.close(write)
