"""Every option of a task does what Celery says it does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded

from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from lesson_harness import (
    MODULES,
    client_of,
    delay_s,
    held,
    scheduled_retry,
    wait_for_file,
    wait_for_state,
    write_catalogue,
)
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "high-priority"


@pytest.fixture(scope="module")
def app(module_redis: RedisServer) -> Iterator[LanewayApp]:
    with client_of(module_redis) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def worker(
    module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("worker")
    with running_worker(LANE, folder, module_redis.url, task_modules=MODULES) as running:
        yield running


def send(app: LanewayApp, task: str, *args: Any) -> Any:
    return app.tasks[task].apply_async(args, queue=LANE)


def test_a_task_with_every_option_of_the_table_runs(app) -> None:
    result = send(app, "lesson.process_document", "/a.md")
    assert result.get(timeout=30) == {
        "id": result.id,
        "file_path": "/a.md",
        "priority": "normal",
    }


def test_name_is_the_given_one_or_module_and_function(app) -> None:
    assert app.tasks["lesson_tasks.unnamed"].name == "lesson_tasks.unnamed"
    assert send(app, "lesson_tasks.unnamed", 1).get(timeout=30) == 2
    assert app.tasks["lesson.process_document"].name == "lesson.process_document"


def test_the_defaults_are_those_the_platform_promises(app) -> None:
    task = app.tasks["lesson_tasks.unnamed"]
    assert (task.max_retries, task.default_retry_delay) == (3, 180)
    assert (task.rate_limit, task.ignore_result, task.track_started) == (None, False, True)
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)
    assert (task.time_limit, task.soft_time_limit) == (None, None)  # the lane's, in its worker


def test_bind_hands_the_task_itself_over(app) -> None:
    result = send(app, "lesson.see", 1)
    assert result.get(timeout=30)["id"] == result.id
    assert send(app, "lane.add", 1, 2).get(timeout=30) == 3  # without bind: the arguments alone


def test_max_retries_bounds_the_tries_and_the_last_error_is_the_failure(
    app, tmp_path: Path
) -> None:
    mark = tmp_path / "tries"
    with pytest.raises(ConnectionError, match="still away"):
        send(app, "lesson.give_up", str(mark)).get(timeout=30)
    assert mark.read_text().split() == ["0", "1", "2"]


def test_default_retry_delay_sets_when_the_next_try_is_due(app, module_redis) -> None:
    result = send(app, "lesson.wait_a_minute")
    assert delay_s(scheduled_retry(module_redis, LANE, result.id)) == 60


def test_a_retrys_own_countdown_wins(app, module_redis) -> None:
    result = send(app, "lesson.retry_in", 300)
    assert delay_s(scheduled_retry(module_redis, LANE, result.id)) == 300


def test_autoretry_for_retries_its_kinds_of_error_and_their_children(app) -> None:
    assert send(app, "lesson.recover").get(timeout=30)["queue"] == LANE  # TimeoutError is OSError


@pytest.mark.parametrize(
    ("task", "shortest_s", "longest_s"),
    [
        ("lesson.back_off", 3_600, 3_600),
        ("lesson.back_off_capped", 90, 90),
        ("lesson.back_off_jittered", 0, 3_600),
    ],
)
def test_retry_backoff_its_cap_and_its_jitter_set_the_delay(
    app, module_redis, task: str, shortest_s: int, longest_s: int
) -> None:
    headers = scheduled_retry(module_redis, LANE, send(app, task).id)
    assert headers["retries"] == 1
    assert shortest_s <= delay_s(headers) <= longest_s


def test_jitter_draws_different_delays(app, module_redis) -> None:
    results = [send(app, "lesson.back_off_jittered") for _ in range(4)]
    delays = {delay_s(scheduled_retry(module_redis, LANE, result.id)) for result in results}
    assert len(delays) > 1


def test_time_limit_ends_a_task_and_its_result_says_so(app) -> None:
    with pytest.raises(TimeLimitExceeded):
        send(app, "lane.hard_limit").get(timeout=30)


def test_soft_time_limit_is_raised_in_the_task(app) -> None:
    with pytest.raises(SoftTimeLimitExceeded):
        send(app, "lane.soft_limit").get(timeout=30)


def test_a_task_may_answer_its_soft_time_limit_with_what_it_has(app) -> None:
    found = send(app, "lesson.save_part").get(timeout=30)
    assert found == {"status": "timeout", "partial": True}


def test_a_time_limit_of_the_call_wins(app) -> None:
    result = app.tasks["lane.sleep"].apply_async([60], queue=LANE, time_limit=1)
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=30)


def test_no_time_limit_of_a_call_outlasts_the_lanes(module_redis, tmp_path: Path) -> None:
    """A longer run would be taken for lost, and be run by a second worker beside the first."""
    lane = "brief: {timeLimit: 2, softTimeLimit: 1, tasks: ['lane.sleep']}"
    settings = {
        "queues_file": write_catalogue(tmp_path / "queues.yaml", lane),
        "task_modules": MODULES,
    }
    with (
        client_of(module_redis, **settings) as app,
        running_worker("brief", tmp_path, module_redis.url, **settings),
    ):
        limits = {"time_limit": 3_600, "soft_time_limit": 3_500}
        result = app.tasks["lane.sleep"].apply_async([60], queue="brief", **limits)
        with pytest.raises(TimeLimitExceeded):
            result.get(timeout=30)


def test_ignore_result_stores_nothing(app, worker, tmp_path: Path) -> None:
    result = send(app, "lesson.forget", str(tmp_path / "mark"))
    wait_for_file(tmp_path / "mark")
    lines = wait_for(lambda: worker.attempts(result.id), "its end")
    assert [line["outcome"] for line in lines] == ["success"]
    assert app.AsyncResult(result.id).state == "PENDING"


def test_acks_late_keeps_the_message_until_the_task_has_ended(
    app, module_redis, tmp_path: Path
) -> None:
    result = send(app, "lesson.work_untracked", str(tmp_path / "release"))
    wait_for_file(tmp_path / "release.begun")
    assert len(held(module_redis, LANE, result.id)) == 1
    (tmp_path / "release").touch()
    assert result.get(timeout=30) == "done"
    wait_for(lambda: not held(module_redis, LANE, result.id), "the ack")


def test_without_acks_late_the_message_is_gone_when_the_task_begins(
    app, module_redis, tmp_path: Path
) -> None:
    result = send(app, "lesson.work_acked_early", str(tmp_path / "release"))
    wait_for_file(tmp_path / "release.begun")
    wait_for(lambda: not held(module_redis, LANE, result.id), "the ack")
    assert result.state == "STARTED"
    (tmp_path / "release").touch()
    assert result.get(timeout=30) == "done"


def test_track_started_tells_of_the_beginning_and_can_be_turned_off(app, tmp_path: Path) -> None:
    tracked = send(app, "lesson.work", str(tmp_path / "a"))
    untracked = send(app, "lesson.work_untracked", str(tmp_path / "b"))
    wait_for_file(tmp_path / "b.begun")
    wait_for_state(tracked, "STARTED")
    assert untracked.state == "PENDING"
    for name in ("a.half", "a", "b"):
        (tmp_path / name).touch()
    assert (tracked.get(timeout=30), untracked.get(timeout=30)) == ("done", "done")


def test_rate_limit_holds_back_what_exceeds_it(app, worker, tmp_path: Path) -> None:
    mark = tmp_path / "turns"
    for result in [send(app, "lane.limited", str(mark)) for _ in range(3)]:
        result.get(timeout=30)
    assert len(mark.read_text().split()) == 3
    assert worker.metric("laneway_rate_limited_total", queue=LANE, task="lane.limited") > 0


def test_a_priority_sub_list_is_served_after_the_plain_list(
    app, module_redis, tmp_path: Path
) -> None:
    """Two slots, both held: what is then queued is taken in the order of its priority."""
    blockers = [send(app, "lesson.work_untracked", str(tmp_path / f"r{n}")) for n in (0, 1)]
    for n in (0, 1):
        wait_for_file(tmp_path / f"r{n}.begun")
    mark = str(tmp_path / "order")
    write = app.tasks["lane.sleep"]
    late = write.apply_async([0, mark], queue=LANE, priority=9)
    soon = write.apply_async([0, mark], queue=LANE, priority=0)
    with module_redis.client() as client:
        plain, *_, last = keys.ready_lists(LANE)
        # What was claimed ahead, tasks having been short so far, is given back within seconds.
        wait_for(lambda: client.llen(plain) == client.llen(last) == 1, "two that wait")
    (tmp_path / "r0").touch()  # one slot is free: the two follow one another
    ended = [line["task_id"] for line in _ended(late, soon)]
    assert ended == [soon.id, late.id]
    (tmp_path / "r1").touch()
    assert [blocker.get(timeout=30) for blocker in blockers] == ["done", "done"]


def _ended(*results: Any) -> list[dict[str, Any]]:
    """The metas of tasks that have ended, the first to end first."""
    for result in results:
        result.get(timeout=30)
    metas = [result.backend.get_task_meta(result.id) for result in results]
    return sorted(metas, key=lambda meta: meta["date_done"])
