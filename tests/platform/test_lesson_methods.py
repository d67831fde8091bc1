"""The ways to call a task, the states it goes through, and what it sees of its request."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kombu.exceptions import OperationalError

from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from lesson_harness import MODULES, client_of, delayed, ready, wait_for_file, wait_for_state
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "high-priority"
IDLE_LANE = "documents"


@pytest.fixture(scope="module")
def app(module_redis: RedisServer) -> Iterator[LanewayApp]:
    with client_of(module_redis) as client:
        yield client


@pytest.fixture(scope="module")
def worker(
    module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with running_worker(LANE, folder, module_redis.url, task_modules=MODULES) as running:
        yield running


def seen(app: LanewayApp, *args, **options) -> dict:
    """What a task saw of its request when it was called so."""
    result = app.tasks["lesson.see"].apply_async(*args, **{"queue": LANE, **options})
    return result.get(timeout=30) | {"asked": result.id}


def test_delay_runs_a_task_on_the_lane_that_claims_it(
    app, module_redis, worker, tmp_path: Path
) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text(f"queues: {{{LANE}: {{tasks: ['lesson.*']}}}}")
    with client_of(module_redis, queues_file=str(file)) as claiming:
        found = claiming.tasks["lesson.see"].delay(1, user="ann").get(timeout=30)
    assert (found["args"], found["kwargs"], found["queue"]) == ([1], {"user": "ann"}, LANE)


def test_apply_async_takes_args_and_kwargs(app, worker) -> None:
    found = seen(app, ["/a.md"], {"priority": "high"})
    assert (found["args"], found["kwargs"]) == (["/a.md"], {"priority": "high"})
    assert seen(app)["args"] == []


def test_a_task_sees_its_request(app, worker) -> None:
    found = seen(app, [1])
    assert found["id"] == found["asked"]
    assert (found["retries"], found["eta"], found["expires"]) == (0, None, None)
    assert found["origin"] == f"gen{os.getpid()}@{socket.gethostname()}"


def test_a_countdown_becomes_the_time_the_task_is_due(app, worker) -> None:
    before = datetime.now(UTC)
    found = seen(app, countdown=0.5)
    due = datetime.fromisoformat(found["eta"])
    assert timedelta(seconds=0.5) <= due - before
    assert datetime.now(UTC) >= due  # it has run, and not before


def test_a_task_does_not_run_before_its_eta(app, worker) -> None:
    eta = datetime.now(UTC) + timedelta(seconds=0.5)
    found = seen(app, eta=eta)
    assert datetime.fromisoformat(found["eta"]) == eta
    assert datetime.now(UTC) >= eta


def test_a_task_runs_within_its_expiry_and_sees_it(app, worker) -> None:
    before = datetime.now(UTC)
    expires = datetime.fromisoformat(seen(app, expires=300)["expires"])
    assert timedelta(seconds=299) < expires - before < timedelta(seconds=360)


def test_a_task_that_has_expired_is_revoked_unrun(app, worker) -> None:
    result = app.tasks["lesson.see"].apply_async(
        queue=LANE, expires=datetime.now(UTC) - timedelta(seconds=1)
    )
    wait_for_state(result, "REVOKED")
    lines = wait_for(lambda: worker.attempts(result.id), "its line")
    assert [line["outcome"] for line in lines] == ["expired"]


def test_a_named_queue_wins_and_waits_there(app, module_redis) -> None:
    result = app.tasks["lesson.see"].apply_async([1], queue=IDLE_LANE)
    waiting = ready(module_redis, IDLE_LANE)
    assert [message["headers"]["id"] for message in waiting] == [result.id]
    assert result.state == "PENDING"


@pytest.mark.parametrize(("priority", "step"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6), (9, 9)])
def test_a_priority_puts_the_message_into_its_sub_list(
    app, module_redis, priority: int, step: int
) -> None:
    result = app.tasks["lesson.see"].apply_async(queue="notifications", priority=priority)
    name = keys.ready_lists("notifications")[keys.PRIORITY_STEPS.index(step)]
    assert ready(module_redis, name)[-1]["headers"]["id"] == result.id


@pytest.mark.parametrize("retry", [True, False])
def test_a_publish_that_cannot_reach_redis_fails_in_bounded_time(
    tmp_path: Path, retry: bool
) -> None:
    server = RedisServer(tmp_path)  # never started
    settings = {"broker_timeout_s": 0.5}
    with client_of(server, **settings) as app, pytest.raises(OperationalError):
        app.tasks["lesson.see"].apply_async(queue=LANE, retry=retry)


def test_a_publish_needs_no_result_store(module_redis, tmp_path: Path) -> None:
    absent = RedisServer(tmp_path).url  # never started
    with client_of(module_redis, result_url=absent) as app:
        result = app.tasks["lesson.see"].apply_async([1], queue=IDLE_LANE)
        assert result.id in {m["headers"]["id"] for m in ready(module_redis, IDLE_LANE)}


def test_apply_runs_the_task_here_and_now(app) -> None:
    result = app.tasks["lesson.see"].apply(args=["/a.md"], kwargs={"user": "ann"})
    assert (result.state, result.result["args"]) == ("SUCCESS", ["/a.md"])
    failed = app.tasks["lane.fail"].apply(args=["reason"])
    assert (failed.state, str(failed.result)) == ("FAILURE", "reason")


def test_a_task_that_is_called_as_a_function_is_one(app) -> None:
    assert app.tasks["lane.add"](2, 3) == 5


def test_states_pass_from_pending_to_success(app, worker, tmp_path: Path) -> None:
    release = tmp_path / "release"
    task = app.tasks["lesson.work"]
    result = task.apply_async([str(release)], queue=LANE)
    wait_for_file(tmp_path / "release.begun")
    started = wait_for_state(result, "STARTED")
    assert set(started) == {"pid", "hostname"}
    assert started["hostname"].startswith(f"{LANE}@")
    (tmp_path / "release.half").touch()
    assert wait_for_state(result, "PROCESSING") == {"progress": 50}
    release.touch()
    assert wait_for_state(result, "SUCCESS") == "done"
    assert app.AsyncResult("never-seen").state == "PENDING"


def test_a_raised_error_is_the_failure_with_its_message(app, worker) -> None:
    result = app.tasks["lane.fail"].apply_async(["bad input"], queue=LANE)
    with pytest.raises(ValueError, match="bad input"):
        result.get(timeout=30)
    assert result.state == "FAILURE"
    assert "lane_tasks.py" in result.traceback


def test_a_task_that_waits_for_its_next_try_is_in_state_retry(app, worker) -> None:
    result = app.tasks["lesson.wait_a_minute"].apply_async(queue=LANE)
    error = wait_for_state(result, "RETRY")
    assert isinstance(error, ConnectionError)
    assert str(error) == "away"


def test_a_revoked_task_is_in_state_revoked(app, module_redis, worker) -> None:
    result = app.tasks["lesson.see"].apply_async(queue=LANE, countdown=3_600)
    assert delayed(module_redis, LANE, result.id)
    result.revoke()
    wait_for_state(result, "REVOKED")
