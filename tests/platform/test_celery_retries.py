"""Retries as Celery's manual tells them, with a pool of processes and with one of threads."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from billiard.exceptions import WorkerLostError
from celery import chord
from celery.exceptions import MaxRetriesExceededError

from celery_user import GET_S, User, celery_user, lines
from lesson_harness import wait_for_state, write_catalogue
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

PROCESSES, THREADS, ELSEWHERE = "high-priority", "threaded", "documents"


@pytest.fixture(scope="module")
def users(
    module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, User]]:
    folder = tmp_path_factory.mktemp("workers")
    file = write_catalogue(folder / "queues.yaml", f"{THREADS}: {{pool: threads}}")
    with (
        celery_user(module_redis, folder, PROCESSES, queues_file=file) as one,
        celery_user(module_redis, folder, THREADS, queues_file=file) as two,
    ):
        yield {PROCESSES: one, THREADS: two}


@pytest.fixture(params=[PROCESSES, THREADS])
def user(users: dict[str, User], request: pytest.FixtureRequest) -> User:
    return users[request.param]


def test_a_task_that_sends_its_message_back_sees_that_it_comes_again(user) -> None:
    assert user.get("send_back") == "received two times"


def test_a_task_that_sends_its_message_back_each_time_does_so_max_deliveries_times(user) -> None:
    result = user.sig("send_back", for_good=True).apply_async()
    with pytest.raises(WorkerLostError, match="maxDeliveries"):
        result.get(timeout=GET_S)
    assert user.outcomes(result.id) == ["requeued"] * 5 + ["rejected"]


def test_autoretry_repeats_until_it_succeeds(user) -> None:
    result = user.send("autoretry", "oserror", 2)
    assert result.get(timeout=GET_S) == 2
    wait_for(lambda: len(user.outcomes(result.id)) == 3, "three attempts")
    assert user.outcomes(result.id) == ["retry", "retry", "success"]


def test_autoretry_gives_up_with_the_error_itself(user) -> None:
    result = user.send("autoretry", "oserror")
    assert isinstance(wait_for_state(result, "FAILURE"), OSError)
    wait_for(lambda: len(user.outcomes(result.id)) == 3, "three attempts")
    assert user.outcomes(result.id) == ["retry", "retry", "failure"]


@pytest.mark.parametrize("kind", ["missing", "value"])
def test_what_autoretry_leaves_out_fails_at_once(user, kind: str) -> None:
    result = user.send("autoretry", kind)
    wait_for_state(result, "FAILURE")
    wait_for(lambda: user.outcomes(result.id), "its attempt")
    assert user.outcomes(result.id) == ["failure"]


def test_a_retry_without_a_cause_ends_in_max_retries_exceeded(user) -> None:
    result = user.send("retry_without_cause")
    assert isinstance(wait_for_state(result, "FAILURE"), MaxRetriesExceededError)


def test_a_retry_may_change_its_arguments_and_keeps_its_id(user) -> None:
    result = user.send("retry_other", 1)
    assert result.get(timeout=GET_S) == {"x": 2, "queue": user.lane, "id": result.id}


def test_a_retry_may_go_to_another_lane(users) -> None:
    result = users[PROCESSES].send("retry_other", 1, THREADS)
    assert result.get(timeout=GET_S)["queue"] == THREADS
    wait_for(lambda: users[THREADS].outcomes(result.id), "its attempt there")
    wait_for(lambda: users[PROCESSES].outcomes(result.id), "its attempt here")
    assert users[PROCESSES].outcomes(result.id) == ["retry"]
    assert users[THREADS].outcomes(result.id) == ["success"]


def test_a_retry_that_does_not_throw_lets_this_try_go_on(user, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    result = user.sig("retry_quietly", mark=str(mark)).apply_async()
    wait_for(lambda: result.state == "SUCCESS" and result.result == "try 0", "the first try")
    wait_for(lambda: lines(mark) == ["0", "1"], "the second")
    assert wait_for(lambda: user.outcomes(result.id) == ["success"] * 2, "two attempts")


def test_a_retry_waits_in_redis_and_holds_no_slot(user) -> None:
    held = user.backlog()
    waiting = [
        user.app.tasks["lesson.retry_in"].apply_async((60,), queue=user.lane) for _ in range(9)
    ]
    wait_for(lambda: all(result.state == "RETRY" for result in waiting), "nine retries")
    now = wait_for(lambda: user.backlog().delayed >= held.delayed + 9 and user.backlog(), "delay")
    assert now.in_flight == 0
    assert user.get("add", 1, 1) == 2
    for result in waiting:
        result.revoke()


def test_a_chords_header_may_be_retried(user) -> None:
    header = [user.sig("autoretry", "oserror", 1), user.sig("add", 1, 1)]
    assert chord(header, user.sig("total")).apply_async().get(timeout=GET_S) == 3


def test_a_chord_whose_header_gave_up_fails(user) -> None:
    header = [user.sig("autoretry", "oserror"), user.sig("add", 1, 1)]
    assert wait_for_state(chord(header, user.sig("total")).apply_async(), "FAILURE")


def test_a_countdown_of_a_retry_is_kept(users) -> None:
    user = users[PROCESSES]
    begun_s = time.time()
    result = user.app.tasks["lane.retry"].apply_async((1, 1.0), queue=user.lane)
    assert result.get(timeout=GET_S) == 1
    assert time.time() >= begun_s + 1.0


def test_a_retry_that_expires_meanwhile_is_revoked(users) -> None:
    user = users[PROCESSES]
    soon = datetime.now(UTC) + timedelta(seconds=1)
    task = user.app.tasks["lesson.retry_in"]
    result = task.apply_async((2,), queue=user.lane, expires=soon)
    wait_for(lambda: result.state == "REVOKED", "its expiry")
    wait_for(lambda: len(user.outcomes(result.id)) == 2, "both outcomes")
    assert user.outcomes(result.id) == ["retry", "expired"]
