"""What the result backend stores, and over what."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from laneway.tasks.broker.beginnings import BEGINNINGS
from lesson_harness import client_of
from redis_server import RedisServer

pytestmark = pytest.mark.broker

TASK = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def backend(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(BEGINNINGS, "wanted", True)
    with client_of(redis_server) as app:
        yield app.backend


def begin(backend: Any) -> None:
    backend.store_result(TASK, {"pid": 1}, "STARTED")


def test_a_beginning_is_stored_of_a_task_that_stores_nothing_else(backend) -> None:
    begin(backend)
    BEGINNINGS.end(well=True)
    assert backend.get_state(TASK) == "STARTED"


def test_a_state_of_the_tasks_own_is_not_overwritten_by_its_beginning(backend) -> None:
    begin(backend)
    backend.store_result(TASK, {"done": 1}, "PROGRESS")
    BEGINNINGS.end(well=True)
    assert backend.get_state(TASK) == "PROGRESS"


@pytest.mark.parametrize("state", ["REVOKED", "FAILURE", "SUCCESS"])
def test_a_beginning_that_is_told_late_hides_no_end(backend, state: str) -> None:
    """The parent stores an end of its own: of a task that was called off, or lost its process."""
    begin(backend)
    result = 1 if state == "SUCCESS" else RuntimeError("ended")
    store_elsewhere(backend, result, state)
    BEGINNINGS.end(well=True)
    assert backend.get_state(TASK) == state


def store_elsewhere(backend: Any, result: Any, state: str) -> None:
    """As another process does, in which the task does not run."""
    waiting, BEGINNINGS._waiting = BEGINNINGS._waiting, {}
    backend.store_result(TASK, result, state)
    BEGINNINGS._waiting = waiting


def test_a_task_that_runs_again_after_its_failure_is_seen_to_run(backend) -> None:
    """As the replay of a dead letter does."""
    backend.store_result(TASK, RuntimeError("no"), "FAILURE")
    time.sleep(0.01)
    begin(backend)
    BEGINNINGS.end(well=True)
    assert backend.get_state(TASK) == "STARTED"
    backend.store_result(TASK, 1, "SUCCESS")
    assert backend.get_state(TASK) == "SUCCESS"
