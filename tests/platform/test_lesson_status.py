"""What a client learns of a task in each of its states, and calling one off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from laneway.tasks.app import LanewayApp
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import BrokerUnavailable
from laneway.tasks.status import TaskStatus, read_status, revoke
from lesson_harness import MODULES, client_of, ready, wait_for_file
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANE, IDLE_LANE = "high-priority", "documents"


@pytest.fixture(scope="module")
def app(module_redis: RedisServer) -> Iterator[LanewayApp]:
    with client_of(module_redis) as client:
        yield client


@pytest.fixture(scope="module")
def called_off(app: LanewayApp) -> str:
    """A task that was queued and called off while no worker ran."""
    sent = submit("lane.add", {"x": 1, "y": 2}, queue=LANE, app=app)
    revoke(app, sent.task_id)
    return sent.task_id


@pytest.fixture(scope="module")
def worker(
    module_redis: RedisServer, called_off: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with running_worker(LANE, folder, module_redis.url, task_modules=MODULES) as running:
        yield running


def status_in(app: LanewayApp, task_id: str, state: str) -> TaskStatus:
    wait_for(lambda: read_status(app, task_id).state == state, state)
    return read_status(app, task_id)


def test_an_unknown_id_is_pending_and_not_known(app) -> None:
    status = read_status(app, "no-such-id")
    assert (status.state, status.known, status.final) == ("PENDING", False, False)


def test_an_accepted_task_is_known_before_any_worker_saw_it(app) -> None:
    sent = submit("documents.embed", {"texts": ["a"]}, app=app, owner="ann")
    assert read_status(app, sent.task_id) == TaskStatus(
        sent.task_id, "PENDING", queue=IDLE_LANE, task="documents.embed", owner="ann"
    )


def test_a_task_is_followed_from_start_to_success(app, worker, tmp_path: Path) -> None:
    release = tmp_path / "release"
    sent = submit("lesson.work", {"release": str(release)}, queue=LANE, app=app)
    wait_for_file(tmp_path / "release.begun")
    status_in(app, sent.task_id, "STARTED")
    (tmp_path / "release.half").touch()
    assert status_in(app, sent.task_id, "PROCESSING").progress == {"progress": 50}
    release.touch()
    status = status_in(app, sent.task_id, "SUCCESS")
    assert (status.result, status.final, status.progress) == ("done", True, None)
    assert (status.queue, status.task) == (LANE, "lesson.work")


def test_a_failure_tells_kind_and_message(app, worker) -> None:
    sent = submit("lane.fail", {"message": "no such month"}, queue=LANE, app=app)
    status = status_in(app, sent.task_id, "FAILURE")
    assert (status.error, status.final) == ("ValueError: no such month", True)


def test_a_task_between_two_tries_tells_why(app, worker) -> None:
    sent = submit("lesson.wait_a_minute", queue=LANE, app=app)
    status = status_in(app, sent.task_id, "RETRY")
    assert (status.error, status.final) == ("ConnectionError: away", False)


def test_a_task_called_off_while_no_worker_ran_is_dropped_by_the_next(
    app, called_off: str, worker
) -> None:
    assert status_in(app, called_off, "REVOKED").final
    lines = wait_for(lambda: worker.attempts(called_off), "its line")
    assert [line["outcome"] for line in lines] == ["revoked"]


def test_a_delayed_task_is_called_off(app, module_redis, worker) -> None:
    sent = submit("lane.add", {"x": 1, "y": 2}, queue=LANE, app=app, countdown_s=3_600)
    wait_for(lambda: not ready(module_redis, LANE), "the hand-over")
    revoke(app, sent.task_id)
    status_in(app, sent.task_id, "REVOKED")


def test_a_running_task_is_ended_with_terminate(app, worker, tmp_path: Path) -> None:
    release = tmp_path / "release"
    sent = submit("lesson.work", {"release": str(release)}, queue=LANE, app=app)
    wait_for_file(tmp_path / "release.begun")
    revoke(app, sent.task_id, terminate=True)
    assert status_in(app, sent.task_id, "REVOKED").final
    (line,) = wait_for(lambda: worker.attempts(sent.task_id), "its line")
    assert line["outcome"] == "terminated"
    sent = submit("lane.add", {"x": 1, "y": 2}, queue=LANE, app=app)
    assert status_in(app, sent.task_id, "SUCCESS").result == 3


def test_without_terminate_a_running_task_finishes(app, worker, tmp_path: Path) -> None:
    release = tmp_path / "release"
    sent = submit("lesson.work_untracked", {"release": str(release)}, queue=LANE, app=app)
    wait_for_file(tmp_path / "release.begun")
    revoke(app, sent.task_id)
    release.touch()
    assert status_in(app, sent.task_id, "SUCCESS").result == "done"


def test_a_task_that_expires_in_its_queue_is_revoked(app, worker, tmp_path: Path) -> None:
    sent = submit("lane.add", {"x": 1, "y": 2}, queue=LANE, app=app, expires=-1)
    assert status_in(app, sent.task_id, "REVOKED").final
    (line,) = wait_for(lambda: worker.attempts(sent.task_id), "its line")
    assert line["outcome"] == "expired"


def test_without_redis_a_question_is_answered_with_the_cure(tmp_path: Path) -> None:
    with client_of(RedisServer(tmp_path), broker_timeout_s=0.5) as app:
        with pytest.raises(BrokerUnavailable, match="laneway doctor"):
            read_status(app, "id")
        with pytest.raises(BrokerUnavailable, match="laneway doctor"):
            revoke(app, "id")
