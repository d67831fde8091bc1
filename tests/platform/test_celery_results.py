"""What a caller of Celery reads of a task: states, results, children, and tasks run on the spot."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import chain, chord, group
from celery.exceptions import TimeoutError as CeleryTimeoutError
from celery.result import AsyncResult, GroupResult

from celery_user import GET_S, User, celery_user
from lane_client import Hold
from lesson_harness import client_of, wait_for_state
from redis_server import RedisServer
from worker_harness import wait_for

pytestmark = pytest.mark.platform

LANE = "high-priority"


@pytest.fixture(scope="module")
def user(module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Its worker keeps results with all that is known of their tasks."""
    folder = tmp_path_factory.mktemp("worker")
    modules = "extended_results,user_tasks,fate_tasks,lane_tasks,lesson_tasks"
    with celery_user(module_redis, folder, LANE, task_modules=modules) as running:
        yield running


def stored(user: User, task_id: str) -> dict | None:
    """What the result store has of a task."""
    found = user.app.backend.client.get(f"celery-task-meta-{task_id}")
    return None if found is None else json.loads(found)


def test_get_returns_raises_or_runs_out_of_time(user, tmp_path: Path) -> None:
    assert user.get("add", 1, 2) == 3
    with pytest.raises(ValueError, match="no"):
        user.send("fail").get(timeout=GET_S)
    assert isinstance(user.send("fail").get(timeout=GET_S, propagate=False), ValueError)
    hold = Hold(tmp_path)
    held = user.app.tasks["fate.hold"].apply_async(kwargs=hold.kwargs, queue=LANE)
    with pytest.raises(CeleryTimeoutError):
        held.get(timeout=0.1)
    hold.release()
    assert held.get(timeout=GET_S) == "released"


def test_a_result_is_found_by_its_id_alone(user) -> None:
    task_id = user.send("add", 1, 2, task_id="an-id-of-my-own").id
    found = AsyncResult(task_id, app=user.app)
    assert found.get(timeout=GET_S) == 3
    assert (found.ready(), found.successful(), found.failed()) == (True, True, False)
    assert found.traceback is None


def test_a_failure_comes_with_its_traceback(user) -> None:
    result = user.send("fail")
    wait_for_state(result, "FAILURE")
    assert "raise ValueError(message)" in result.traceback
    assert (result.ready(), result.successful(), result.failed()) == (True, False, True)


def test_forget_removes_the_result(user) -> None:
    result = user.send("add", 1, 2)
    assert result.get(timeout=GET_S) == 3
    assert stored(user, result.id)
    result.forget()
    assert stored(user, result.id) is None
    assert AsyncResult(result.id, app=user.app).state == "PENDING"


def test_a_tasks_children_are_known(user) -> None:
    result = user.send("family")
    child_id = result.get(timeout=GET_S)
    children = wait_for(lambda: AsyncResult(result.id, app=user.app).children, "its children")
    assert [child.id for child in children] == [child_id]
    assert [value for _, value in result.collect(timeout=GET_S)] == [child_id, 3]


def test_a_state_of_ones_own_is_kept(user) -> None:
    result = user.send("custom_state")
    assert wait_for_state(result, "ARCHIVED") == {"shelf": 7}
    assert not result.ready()


@pytest.mark.parametrize("way", ["task", "call"])
def test_a_result_that_is_to_be_ignored_is_not_stored(user, tmp_path: Path, way: str) -> None:
    mark = tmp_path / "ran"
    if way == "task":
        result = user.sig("ignored", mark=str(mark)).apply_async()
    else:
        result = user.sig("note", 1, mark=str(mark)).apply_async(ignore_result=True)
    wait_for(mark.exists, "its run")
    wait_for(lambda: user.outcomes(result.id), "its end")
    assert stored(user, result.id) is None


def test_an_extended_result_tells_what_ran_where(user) -> None:
    result = user.sig("add", 1, y=2).apply_async(headers={"mine": "kept"})
    assert result.get(timeout=GET_S) == 3
    meta = stored(user, result.id)
    assert meta is not None
    assert (meta["name"], meta["args"], meta["kwargs"]) == ("user.add", [1], {"y": 2})
    assert (meta["queue"], meta["retries"]) == (LANE, 0)
    assert meta["worker"].startswith(f"{LANE}@")


@pytest.mark.filterwarnings("ignore:Call to deprecated setex")  # Celery's own
def test_a_group_is_saved_restored_and_joined(user) -> None:
    made = group(user.sig("add", n, n) for n in range(3)).apply_async()
    made.save()
    restored = GroupResult.restore(made.id, app=user.app)
    assert restored.join(timeout=GET_S) == [0, 2, 4]
    assert restored.successful()
    made.forget()


def test_a_tasks_own_failure_of_its_result_is_its_failure(user) -> None:
    """A result that JSON cannot hold: told, and not retried for ever."""
    result = user.send("unstorable")
    wait_for_state(result, "FAILURE")
    wait_for(lambda: user.outcomes(result.id), "its end")
    assert user.outcomes(result.id) == ["failure"]


# On the spot


def test_apply_runs_a_task_and_its_retries_in_this_process(user) -> None:
    assert user.app.tasks["user.add"].apply((1, 2)).get() == 3
    assert user.app.tasks["user.autoretry"].apply(("oserror", 2)).get() == 2
    failed = user.app.tasks["user.fail"].apply()
    assert (failed.state, str(failed.result)) == ("FAILURE", "no")


def test_an_eager_app_runs_whole_canvases_without_a_worker(module_redis) -> None:
    with client_of(module_redis, task_modules="user_tasks") as app:
        app.conf.task_always_eager = app.conf.task_eager_propagates = True
        add, total, fail = (app.tasks[f"user.{name}"] for name in ("add", "total", "fail"))
        assert add.delay(1, 2).get() == 3
        assert chain(add.s(1, 1), add.s(1)).apply_async().get() == 3
        assert group(add.s(n, n) for n in range(3)).apply_async().get() == [0, 2, 4]
        assert chord([add.s(1, 1), add.s(2, 2)], total.s()).apply_async().get() == 6
        with pytest.raises(ValueError, match="no"):
            fail.delay()
