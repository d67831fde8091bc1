"""Celery's canvas across lanes: chains, groups, chords, links, and what a retry keeps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import chain, chord, group

from celery_user import lines
from laneway.tasks.app import LanewayApp
from laneway.tasks.errors import UnknownQueue
from lesson_harness import MODULES, client_of, wait_for_state, write_catalogue
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

HERE, THERE = "high-priority", "reports"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("catalogue") / "queues.yaml"
    return write_catalogue(file, f"{THERE}: {{pool: threads}}")


@pytest.fixture(scope="module")
def app(module_redis: RedisServer, catalogue: str) -> Iterator[LanewayApp]:
    with client_of(module_redis, queues_file=catalogue) as client:
        yield client


@pytest.fixture(scope="module", autouse=True)
def workers(
    module_redis: RedisServer, catalogue: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, RunningWorker]]:
    """One with processes and one with threads: both pass work on."""
    folder = tmp_path_factory.mktemp("workers")
    settings = {"task_modules": MODULES, "queues_file": catalogue}
    with (
        running_worker(HERE, folder, module_redis.url, **settings) as here,
        running_worker(THERE, folder, module_redis.url, **settings) as there,
    ):
        yield {HERE: here, THERE: there}


def sig(app: LanewayApp, task: str, *args: Any, queue: str | None = None, **options: Any) -> Any:
    found = app.tasks[task].signature(args, **options)
    return found.set(queue=queue) if queue else found


def add(app: LanewayApp, *args: float, queue: str | None = None) -> Any:
    return sig(app, "lane.add", *args, queue=queue)


def test_a_chain_passes_its_results_across_lanes(app, workers) -> None:
    steps = [add(app, 1, 2, queue=HERE), add(app, 10, queue=THERE), add(app, 100, queue=HERE)]
    result = chain(*steps).apply_async()
    assert result.get(timeout=30) == 113
    middle = wait_for(lambda: workers[THERE].attempts(result.parent.id), "the step there")
    assert [attempt["outcome"] for attempt in middle] == ["success"]


@pytest.mark.parametrize("lane", [HERE, THERE])
def test_a_step_without_a_lane_stays_on_its_publishers(app, lane: str) -> None:
    result = chain(add(app, 1, 2, queue=lane), sig(app, "lesson.see")).apply_async()
    assert result.get(timeout=30)["queue"] == lane


@pytest.mark.parametrize("lane", [HERE, THERE])
def test_what_a_task_publishes_without_a_lane_stays_on_its_own(app, lane: str) -> None:
    passed_on = sig(app, "lesson.pass_on", 1, queue=lane).apply_async().get(timeout=30)
    assert app.AsyncResult(passed_on).get(timeout=30)["queue"] == lane


def test_a_first_step_without_a_lane_is_refused_with_the_cure(app) -> None:
    with pytest.raises(UnknownQueue, match="Name one of high-priority, documents"):
        chain(add(app, 1, 2), add(app, 3)).apply_async()


def test_a_chain_stops_at_the_step_that_fails(app, workers) -> None:
    failing = sig(app, "lane.fail", "no", queue=THERE, immutable=True)
    result = chain(add(app, 1, 2, queue=HERE), failing, add(app, 1, queue=HERE)).apply_async()
    with pytest.raises(ValueError, match="no"):
        result.parent.get(timeout=30)
    wait_for_state(result, "FAILURE")
    assert workers[HERE].attempts(result.id) == []


def test_a_group_runs_on_two_lanes(app) -> None:
    members = [add(app, n, n, queue=lane) for n, lane in enumerate([HERE, THERE, HERE, THERE])]
    assert group(members).apply_async().get(timeout=30) == [0, 2, 4, 6]


@pytest.mark.parametrize("lane", [HERE, THERE])
def test_a_chord_joins_two_lanes(app, lane: str) -> None:
    header = [add(app, n, n, queue=member) for n, member in enumerate([HERE, THERE, HERE])]
    body = sig(app, "lesson.total", queue=lane)
    assert chord(header)(body).get(timeout=30) == 6


def test_a_chords_body_without_a_lane_stays_with_the_last_member(app) -> None:
    header = [add(app, n, n, queue=THERE) for n in range(3)]
    result = chord(header)(sig(app, "lesson.see"))
    assert result.get(timeout=30)["queue"] == THERE


def test_a_chord_with_a_failed_member_fails(app) -> None:
    header = [add(app, 1, 1, queue=HERE), sig(app, "lane.fail", "no", queue=THERE)]
    result = chord(header)(sig(app, "lesson.total", queue=HERE))
    with pytest.raises(Exception, match="no"):
        result.get(timeout=30)
    wait_for_state(result, "FAILURE")


@pytest.mark.parametrize("task", ["lane.hard_limit", "lane.exhaust"])
def test_a_chord_with_a_member_that_the_parent_ends_fails(app, task: str) -> None:
    """Body without a lane: it is the worker's parent that tells it."""
    header = [add(app, 1, 1, queue=HERE), sig(app, task, queue=HERE)]
    result = chord(header)(sig(app, "lesson.total"))
    assert wait_for_state(result, "FAILURE")


def test_a_chord_with_a_member_that_is_retried_waits_for_it(app) -> None:
    header = [add(app, 1, 1, queue=HERE), sig(app, "lane.retry", 1, 0, queue=HERE)]
    assert chord(header)(sig(app, "lesson.total", queue=THERE)).get(timeout=30) == 3


def test_a_link_runs_after_success_with_the_result(app) -> None:
    linked = sig(app, "lesson.see", "linked", queue=THERE)
    result = app.tasks["lane.add"].apply_async((1, 2), queue=HERE, link=linked)
    assert result.get(timeout=30) == 3
    (child,) = wait_for(lambda: app.AsyncResult(result.id).children, "the linked task")
    assert child.get(timeout=30)["args"] == [3, "linked"]


@pytest.mark.parametrize("lane", [HERE, THERE, None])
@pytest.mark.parametrize("task", ["lane.fail", "lane.hard_limit", "lane.exhaust"])
def test_a_link_error_runs_once_after_failure_wherever_it_is_sent(
    app, tmp_path: Path, task: str, lane: str | None
) -> None:
    mark = tmp_path / "failed"
    told = sig(app, "lesson.note_failure", str(mark), queue=lane)
    result = app.tasks[task].apply_async(queue=HERE, link_error=told)
    wait_for_state(result, "FAILURE")
    wait_for(lambda: lines(mark), "the errback")
    assert add(app, 1, 1, queue=HERE).apply_async().get(timeout=30) == 2
    assert lines(mark) == [result.id]


@pytest.mark.parametrize("lane", [HERE, THERE])
def test_a_retry_keeps_its_lane_and_when_it_was_first_queued(app, lane: str) -> None:
    result = sig(app, "lesson.recover", queue=lane).apply_async(headers={"laneway_own": "kept"})
    told = result.get(timeout=30)
    assert told["queue"] == lane
    assert told["headers"]["laneway_own"] == "kept"
    first, now = (float(told["headers"][f"laneway_{n}enqueued_at"]) for n in ("first_", ""))
    assert first < now


def test_a_retry_keeps_its_lane_although_another_claims_the_task(
    app, module_redis, tmp_path: Path
) -> None:
    file = write_catalogue(tmp_path / "queues.yaml", f"{THERE}: {{tasks: ['lesson.*']}}")
    with client_of(module_redis, queues_file=file) as claiming:
        task = claiming.tasks["lesson.recover"]
        assert task.delay().get(timeout=30)["queue"] == THERE
        assert task.apply_async(queue=HERE, priority=3).get(timeout=30)["queue"] == HERE


@pytest.mark.parametrize("way", ["delay", "submit"])
def test_a_task_may_publish_by_every_door(app, workers, way: str) -> None:
    """By the name its decorator gave, and by submit: both are the worker's own app."""
    result = sig(app, "lane.publish", way, queue=HERE).apply_async()
    found = app.AsyncResult(result.get(timeout=30))
    assert found.get(timeout=30) == 3
    assert wait_for(lambda: workers[HERE].attempts(found.id), "its attempt on the same lane")
