"""Calling tasks off, expiry, and tasks that wait for their time: as Celery's manual tells it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from celery import group
from celery.canvas import StampingVisitor

from celery_user import GET_S, User, celery_user, lines
from lane_client import Hold
from lesson_harness import wait_for_state, write_catalogue
from redis_server import RedisServer
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

LANE, PREFETCHING, RESTARTED = "high-priority", "prefetching", "restarted"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    lanes = f"{PREFETCHING}: {{concurrency: 1, prefetch: 4}}\n{RESTARTED}: {{concurrency: 1}}"
    return write_catalogue(tmp_path_factory.mktemp("catalogue") / "queues.yaml", lanes)


@pytest.fixture(scope="module")
def user(
    module_redis: RedisServer, file: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("worker")
    with celery_user(module_redis, folder, LANE, queues_file=file) as running:
        yield running


class Busy:
    """Every slot of a lane taken, until `hold.release()`."""

    def __init__(self, user: User, folder: Path, slots: int) -> None:
        self.hold = Hold(folder)
        self.tasks = [
            user.app.tasks["fate.hold"].apply_async(kwargs=self.hold.kwargs, queue=user.lane)
            for _ in range(slots)
        ]
        wait_for(lambda: self.hold.begun() == slots, "all slots taken")


class Stamp(StampingVisitor):
    """Stamps every signature with the batch it belongs to."""

    def __init__(self, batch: str) -> None:
        self.batch = batch

    def on_signature(self, _sig: object, **_headers: object) -> dict[str, object]:
        return {"batch": self.batch, "stamped_headers": ["batch"]}


def revoked(user: User, *results) -> None:
    """Wait until tasks are called off, and their messages gone."""
    for result in results:
        wait_for_state(result, "REVOKED")
    wait_for(lambda: all(user.outcomes(r.id) for r in results), "their outcomes")
    assert [user.outcomes(result.id) for result in results] == [["revoked"]] * len(results)


def test_what_waits_on_the_lane_is_called_off(user, tmp_path: Path) -> None:
    busy, mark = Busy(user, tmp_path, 2), tmp_path / "ran"
    waiting = [user.sig("now_s", mark=str(mark)).apply_async() for _ in range(3)]
    waiting[0].revoke()
    user.app.control.revoke([waiting[2].id])
    user.app.control.ping(timeout=5, limit=1)  # comes after what was said before
    busy.hold.release()
    assert waiting[1].get(timeout=GET_S)
    revoked(user, waiting[0], waiting[2])
    assert lines(mark) == [waiting[1].id]


def test_what_a_worker_prefetched_is_called_off(user, module_redis, file, tmp_path: Path) -> None:
    with celery_user(module_redis, tmp_path, PREFETCHING, queues_file=file) as other:
        busy, mark = Busy(other, tmp_path, 1), tmp_path / "ran"
        waiting = [other.sig("now_s", mark=str(mark)).apply_async() for _ in range(3)]
        wait_for(lambda: other.backlog().in_flight == 4, "three that the worker holds")
        waiting[1].revoke()
        waiting[2].revoke(terminate=True)
        other.app.control.ping(timeout=5, limit=2)
        busy.hold.release()
        assert waiting[0].get(timeout=GET_S)
        revoked(other, waiting[1])
        wait_for_state(waiting[2], "REVOKED")
        assert lines(mark) == [waiting[0].id]
        assert wait_for(lambda: other.backlog().waiting == 0, "an empty lane")


def test_what_waits_for_its_time_in_redis_is_called_off(user, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    result = user.sig("now_s", mark=str(mark)).apply_async(countdown=1)
    result.revoke()
    revoked(user, result)
    assert lines(mark) == []
    assert user.backlog().delayed == 0


def test_running_tasks_are_ended_by_the_signal_that_was_named(user, tmp_path: Path) -> None:
    busy = Busy(user, tmp_path, 2)
    ids = [task.id for task in busy.tasks]
    user.app.control.revoke(ids[:1], terminate=True, signal="SIGKILL")
    wait_for_state(busy.tasks[0], "REVOKED")
    busy.hold.release()
    assert busy.tasks[1].get(timeout=GET_S) == "released"
    wait_for(lambda: user.outcomes(ids[0]), "its outcome")
    assert user.outcomes(ids[0]) == ["terminated"]


def test_a_groups_members_are_called_off_together(user, tmp_path: Path) -> None:
    busy, mark = Busy(user, tmp_path, 2), tmp_path / "ran"
    members = group(user.sig("now_s", mark=str(mark)) for _ in range(3)).apply_async()
    members.revoke()
    user.app.control.ping(timeout=5, limit=1)
    busy.hold.release()
    revoked(user, *members.results)
    assert lines(mark) == []


def test_tasks_are_called_off_by_their_stamp(user, tmp_path: Path) -> None:
    busy, mark = Busy(user, tmp_path, 2), tmp_path / "ran"
    stamped = user.sig("now_s", mark=str(mark))
    stamped.stamp(Stamp("monday"))
    other = user.sig("now_s", mark=str(mark))
    other.stamp(Stamp("tuesday"))
    result, spared = stamped.apply_async(), other.apply_async()
    user.app.control.revoke_by_stamped_headers({"batch": ["monday"]})
    user.app.control.ping(timeout=5, limit=1)
    busy.hold.release()
    assert spared.get(timeout=GET_S)
    revoked(user, result)
    assert lines(mark) == [spared.id]


def test_a_running_task_is_ended_by_its_stamp(user, tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    stamped = user.app.tasks["fate.hold"].s(**hold.kwargs).set(queue=LANE)
    stamped.stamp(Stamp("wednesday"))
    result = stamped.apply_async()
    wait_for(lambda: hold.begun() == 1, "its beginning")  # which the pool tells a moment later
    user.app.control.revoke_by_stamped_headers({"batch": ["wednesday"]}, terminate=True)
    wait_for_state(result, "REVOKED")
    hold.release()


def test_the_next_worker_knows_what_was_called_off_and_what_waits(
    user, module_redis, file, tmp_path: Path
) -> None:
    """By Celery's own `revoke`, heard by a worker that is gone when the message is due."""
    ran = tmp_path / "ran"
    with celery_user(module_redis, tmp_path, RESTARTED, queues_file=file) as first:
        off = first.sig("now_s", mark=str(ran)).apply_async(countdown=4)
        on = first.sig("now_s", mark=str(ran)).apply_async(countdown=4)
        off.revoke()
        wait_for_state(off, "REVOKED")
        assert first.worker is not None
        assert first.worker.stop() == 0
        settings = {"task_modules": "user_tasks", "queues_file": file}
        with running_worker(RESTARTED, tmp_path, module_redis.url, **settings):
            assert on.get(timeout=GET_S)
            assert lines(ran) == [on.id]


def test_a_revoked_task_that_was_done_keeps_its_result(user) -> None:
    result = user.send("add", 1, 2)
    assert result.get(timeout=GET_S) == 3
    result.revoke(terminate=True)
    user.app.control.ping(timeout=5, limit=1)
    assert (result.state, result.get(timeout=GET_S)) == ("SUCCESS", 3)


# Expiry


def expired(user: User, result, mark: Path) -> None:
    """Wait for the end of a task that expired: it is told once, and nothing ran."""
    wait_for_state(result, "REVOKED")
    wait_for(lambda: user.outcomes(result.id), "its outcome")
    assert user.outcomes(result.id) == ["expired"]
    assert lines(mark) == []


@pytest.mark.parametrize("way", ["seconds", "moment", "past"])
def test_a_task_that_comes_up_after_its_expiry_is_not_run(user, tmp_path: Path, way: str) -> None:
    busy, mark = Busy(user, tmp_path, 2), tmp_path / "ran"
    expires = {
        "seconds": 0.2,
        "moment": datetime.now(timezone(timedelta(hours=5))) + timedelta(seconds=0.2),
        "past": datetime.now(UTC) - timedelta(hours=1),
    }[way]
    result = user.sig("now_s", mark=str(mark)).apply_async(expires=expires)
    time.sleep(0.3)
    busy.hold.release()
    expired(user, result, mark)


def test_what_a_worker_prefetched_is_not_run_after_its_expiry(
    user, module_redis, file, tmp_path: Path
) -> None:
    with celery_user(module_redis, tmp_path, PREFETCHING, queues_file=file) as other:
        busy, mark = Busy(other, tmp_path, 1), tmp_path / "ran"
        waiting = other.sig("now_s", mark=str(mark)).apply_async(expires=0.5)
        wait_for(lambda: other.backlog().in_flight == 2, "one that the worker holds")
        time.sleep(0.5)
        busy.hold.release()
        expired(other, waiting, mark)


def test_a_task_that_expires_before_it_is_due_is_not_run(user, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    result = user.sig("now_s", mark=str(mark)).apply_async(countdown=1, expires=0.5)
    wait_for_state(result, "REVOKED")
    assert lines(mark) == []
    assert user.backlog().delayed == 0


# Its time


@pytest.mark.parametrize(
    "zone", [UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-8)), None]
)
def test_an_eta_means_the_same_moment_in_every_zone(user, zone: timezone | None) -> None:
    """Without a zone it is in the app's, UTC."""
    due = datetime.now(UTC) + timedelta(seconds=1)
    eta = due.astimezone(zone) if zone else due.replace(tzinfo=None)
    assert user.get("now_s", eta=eta) >= due.timestamp()


@pytest.mark.parametrize("options", [{"countdown": 0}, {"countdown": -5}, {"eta": "past"}])
def test_what_is_due_already_runs(user, options: dict) -> None:
    given = {"eta": datetime.now(UTC) - timedelta(days=1)} if "eta" in options else options
    assert user.get("now_s", **given)


def test_a_thousand_countdowns_are_held_by_no_worker(user, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    later = user.sig("now_s", mark=str(mark))
    ids = [later.apply_async(countdown=3_600).id for _ in range(1_000)]
    soon = [user.sig("now_s", mark=str(mark)).apply_async(countdown=1) for _ in range(5)]
    assert user.get("add", 1, 1) == 2
    wait_for(lambda: user.backlog().in_flight == 0, "its acknowledgement")
    assert user.backlog().delayed == 1_005
    for result in soon:
        assert result.get(timeout=GET_S)
    assert user.backlog().delayed == 1_000
    assert not set(lines(mark)) & set(ids)
