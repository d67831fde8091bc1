"""Signals and events that a Celery user hangs code on: in the worker and in its pool processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import event_camera
from celery_user import User, celery_user, lines
from lane_client import Hold
from lesson_harness import wait_for_state, write_catalogue
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

LANE, THREADS = "high-priority", "threaded"
GUARDED = False  # events, which Laneway does without, go to channels of their own


class Heard:
    """What the receivers of one worker left: `SIGNAL TASK_ID PID` a line."""

    def __init__(self, mark: Path, user: User) -> None:
        self.mark, self.user = mark, user
        assert user.worker is not None
        self.worker = user.worker

    def where(self, task_id: str = "-") -> dict[str, list[str]]:
        """Signals of a task, or of none, by where they came: in the `parent` or in a `child`."""
        found: dict[str, list[str]] = {"parent": [], "child": []}
        for name, whose, pid in map(str.split, lines(self.mark)):
            if whose == task_id:
                place = "parent" if int(pid) == self.worker.process.pid else "child"
                found[place].append(name)
        return found

    def of(self, result: Any, *last: str) -> dict[str, list[str]]:
        """Signals of a task, once the `last` ones have come."""
        wait_for(
            lambda: set(last) <= {n for names in self.where(result.id).values() for n in names},
            f"{last}",
        )
        return self.where(result.id)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("catalogue")
    return write_catalogue(folder / "queues.yaml", f"{THREADS}: {{pool: threads}}")


@pytest.fixture(scope="module")
def heard(
    module_redis: RedisServer, file: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Heard]:
    folder = tmp_path_factory.mktemp("worker")
    mark = folder / "signals"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USER_TASKS_SIGNALS", str(mark))
        modules = "task_events,user_tasks,fate_tasks,lane_tasks,lesson_tasks"
        with celery_user(
            module_redis, folder, LANE, queues_file=file, task_modules=modules
        ) as user:
            yield Heard(mark, user)


def test_a_task_that_goes_well_is_told_of_in_parent_and_child(heard) -> None:
    result = heard.user.send("add", 1, 2)
    told = heard.of(result, "task_received", "task_postrun", "task_success")
    assert told == {
        "parent": ["task_received"],
        "child": ["task_prerun", "task_success", "task_postrun"],
    }


def test_a_task_that_fails(heard) -> None:
    told = heard.of(heard.user.send("fail"), "task_postrun")
    assert told == {
        "parent": ["task_received"],
        "child": ["task_prerun", "task_failure", "task_postrun"],
    }


def test_a_task_that_is_retried_tells_of_each_try(heard) -> None:
    result = heard.user.send("autoretry", "oserror", 1)
    told = heard.of(result, "task_success")
    wait_for(lambda: heard.where(result.id)["child"].count("task_postrun") == 2, "two ends")
    told = heard.where(result.id)
    assert told["parent"] == ["task_received"] * 2
    assert told["child"].count("task_prerun") == 2
    assert told["child"].count("task_retry") == 1
    assert told["child"].count("task_success") == 1


def test_a_delayed_task_is_received_once_when_it_is_due(heard) -> None:
    told = heard.of(heard.user.send("add", 1, 2, countdown=0.6), "task_success")
    assert told["parent"] == ["task_received"]


@pytest.mark.parametrize("task", ["lane.hard_limit", "lane.kill"])
def test_a_task_whose_process_is_killed_fails_in_the_parent(heard, task: str) -> None:
    result = heard.user.app.tasks[task].apply_async(queue=LANE)
    wait_for_state(result, "FAILURE")
    told = heard.of(result, "task_failure")
    assert told["parent"].count("task_failure") == 1
    assert "task_failure" not in told["child"]
    assert "task_postrun" not in told["child"]


def test_a_task_that_is_called_off(heard, tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    running = heard.user.app.tasks["fate.hold"].apply_async(kwargs=hold.kwargs, queue=LANE)
    wait_for(lambda: hold.begun() == 1, "its beginning")
    delayed = heard.user.send("add", 1, 2, countdown=60)
    running.revoke(terminate=True)
    delayed.revoke()
    for result in (running, delayed):
        assert heard.of(result, "task_revoked")["parent"].count("task_revoked") == 1
    assert heard.where(delayed.id)["child"] == []


def test_a_task_that_expired_is_told_of_as_revoked(heard) -> None:
    result = heard.user.send("add", 1, 2, expires=0.1, countdown=0.6)
    assert heard.of(result, "task_revoked")["parent"].count("task_revoked") == 1


def test_an_unknown_task(heard) -> None:
    result = heard.user.app.send_task("nobody.knows", queue=LANE)
    assert "task_unknown" in heard.of(result, "task_unknown")["parent"]


def test_what_is_no_task_is_told_of_as_rejected(heard) -> None:
    before = heard.where()["parent"].count("task_rejected")
    with heard.user.server.client() as client:
        client.lpush(LANE, '{"headers": {}, "properties": {}, "body": ""}')
    wait_for(lambda: heard.where()["parent"].count("task_rejected") == before + 1, "its signal")


def test_a_worker_of_threads_tells_all_in_one_process(
    module_redis, file, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("USER_TASKS_SIGNALS", str(tmp_path / "signals"))
    with celery_user(module_redis, tmp_path, THREADS, queues_file=file) as user:
        heard = Heard(tmp_path / "signals", user)
        told = heard.of(user.send("add", 1, 2), "task_postrun", "task_success")
        assert told == {
            "parent": ["task_received", "task_prerun", "task_success", "task_postrun"],
            "child": [],
        }
        assert user.worker.stop() == 0
        assert heard.where()["parent"] == [
            "worker_init",
            "worker_ready",
            "worker_shutting_down",
            "worker_shutdown",
        ]


# Events


@contextmanager
def camera(server: RedisServer, file: Path) -> Iterator[Callable[[Any], list[str]]]:
    """A monitor that listens; gives the kinds of a task's events so far."""
    command = [sys.executable, str(Path(event_camera.__file__)), server.url, str(file)]
    with server.client() as client:
        before = client.pubsub_numpat()
        process = subprocess.Popen(command)
        try:
            wait_for(lambda: client.pubsub_numpat() > before, "its subscription")
            yield lambda task: [
                kind for kind, whose in map(str.split, lines(file)) if whose == task.id
            ]
        finally:
            process.terminate()
            process.wait(10)


def test_task_events_tell_a_monitor_of_a_tasks_way(heard, tmp_path: Path) -> None:
    with camera(heard.user.server, tmp_path / "events") as kinds:
        retried = heard.user.send("autoretry", "oserror", 1)
        failed = heard.user.send("fail")
        wait_for(lambda: "task-succeeded" in kinds(retried), "its success")
        wait_for(lambda: "task-failed" in kinds(failed), "its failure")
        tries = ["task-received", "task-received", "task-retried", "task-started", "task-started"]
        assert sorted(kinds(retried)) == [*tries, "task-succeeded"]
        assert kinds(failed) == ["task-received", "task-started", "task-failed"]


def test_pool_processes_and_the_worker_tell_of_their_beginning_and_end(heard) -> None:
    """Last, as it ends the worker."""
    assert heard.worker.stop() == 0
    told = heard.where()
    parent = [name for name in told["parent"] if name != "task_rejected"]
    assert parent == ["worker_init", "worker_ready", "worker_shutting_down", "worker_shutdown"]
    assert told["child"].count("worker_process_init") >= 2
    assert told["child"].count("worker_process_shutdown") >= 2
