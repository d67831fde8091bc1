"""Priorities as Celery's Redis transport has them: 0 is served first, 9 last, in four steps."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from celery_user import GET_S, User, celery_user, lines
from lane_client import Hold
from laneway.tasks.broker import keys
from lesson_harness import write_catalogue
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

LANE = "single"


@pytest.fixture(scope="module")
def user(module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("worker")
    file = write_catalogue(folder / "queues.yaml", f"{LANE}: {{concurrency: 1}}")
    with celery_user(module_redis, folder, LANE, queues_file=file) as running:
        yield running


@pytest.fixture
def busy(user: User, tmp_path: Path) -> Iterator[Hold]:
    """The lane's one slot is taken until it is released."""
    hold = Hold(tmp_path)
    user.app.tasks["fate.hold"].apply_async(kwargs=hold.kwargs, queue=LANE)
    wait_for(lambda: hold.begun() == 1, "the slot taken")
    yield hold
    hold.release()


def lengths(user: User) -> list[int]:
    with user.server.client() as client:
        return [client.llen(name) for name in keys.ready_lists(user.lane)]


def test_ten_priorities_are_served_in_four_steps(user, busy, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    noted = [
        user.sig("note", priority, mark=str(mark)).apply_async(priority=priority)
        for priority in reversed(range(10))
    ]
    assert wait_for(lambda: lengths(user) == [3, 3, 3, 1] and lengths(user), "ten messages")
    busy.release()
    for result in noted:
        result.get(timeout=GET_S)
    ran = list(map(int, lines(mark)))
    assert [sorted(step) for step in (ran[:3], ran[3:6], ran[6:9], ran[9:])] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [9],
    ]


def test_within_a_step_the_first_sent_is_the_first_served(user, busy, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    noted = [user.sig("note", n, mark=str(mark)).apply_async(priority=6) for n in range(5)]
    busy.release()
    for result in noted:
        result.get(timeout=GET_S)
    assert lines(mark) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("priority", [None, 0, 3, 6, 9])
def test_an_idle_lane_serves_every_priority(user, priority: int | None) -> None:
    assert user.get("add", 1, 2, priority=priority) == 3


def test_a_delayed_message_keeps_its_priority(user, busy, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    late = user.sig("note", "low", mark=str(mark)).apply_async(priority=9, countdown=0.6)
    wait_for(lambda: lengths(user)[3] == 1, "the delayed message among those of its priority")
    early = user.sig("note", "high", mark=str(mark)).apply_async(priority=0)
    busy.release()
    for result in (late, early):
        result.get(timeout=GET_S)
    assert lines(mark) == ["high", "low"]


def test_a_retry_keeps_its_priority(user, busy) -> None:
    """What waits for its next try is counted with its own, when it comes up again."""
    result = user.app.tasks["lesson.retry_in"].apply_async((0.6,), queue=LANE, priority=6)
    busy.release()
    wait_for(lambda: result.state == "RETRY", "the first try")
    with user.server.client() as client:
        records = client.zrange(keys.delayed(LANE), 0, -1)
    assert [record.split()[2] for record in records if result.id in record] == ["3"]
    result.revoke()
