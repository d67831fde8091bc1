"""What a live worker holds is nobody else's, and what a dead one held is somebody else's soon."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lane_client import LaneClient, write_catalogue
from laneway.tasks.app import create_app
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANE = "leased"
LEASE_S = 5
TWICE_OVER_S = 3 * LEASE_S
"""Longer than a lease and the sweep that follows it, twice."""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    fields = {"leaseSeconds": LEASE_S, "concurrency": 1, "prefetch": 1, "maxDeliveries": 2}
    return write_catalogue(tmp_path, leased=fields)


@pytest.fixture
def client(redis_server: RedisServer, catalogue: Path) -> LaneClient:
    url = redis_server.url
    settings = load_settings(broker_url=url, result_url=url.removesuffix("/0") + "/1")
    return LaneClient(create_app(settings, load_catalogue(catalogue)), LANE)


@pytest.fixture
def workers(
    redis_server: RedisServer, catalogue: Path, tmp_path: Path
) -> Iterator[list[RunningWorker]]:
    file = str(catalogue)
    with (
        running_worker(LANE, tmp_path, redis_server.url, queues_file=file) as one,
        running_worker(LANE, tmp_path, redis_server.url, queues_file=file) as two,
    ):
        yield [one, two]


def begun(mark: Path) -> int:
    return mark.read_text().splitlines().count("begun") if mark.exists() else 0


def test_a_task_that_outlives_its_lease_runs_once(client, workers, tmp_path) -> None:
    mark = tmp_path / "mark"
    sent = client.send("lane.sleep", seconds=TWICE_OVER_S, mark=str(mark))
    assert client.wait(sent) == ["SUCCESS"]
    assert begun(mark) == 1


def test_a_delayed_task_that_outlives_its_lease_runs_once(client, workers, tmp_path) -> None:
    mark = tmp_path / "mark"
    sent = client.send_with("lane.sleep", {"countdown": TWICE_OVER_S}, seconds=0, mark=str(mark))
    assert client.wait(sent) == ["SUCCESS"]
    time.sleep(1)  # for a copy to come up, if there were one
    assert begun(mark) == 1


def test_what_a_killed_worker_held_runs_on_another(client, workers, tmp_path) -> None:
    mark = tmp_path / "mark"
    sent = client.send("lane.sleep", seconds=3, mark=str(mark))
    wait_for(lambda: begun(mark) == 1, "the task to begin")
    holding = next(w for w in workers if w.metric("laneway_running", queue=LANE))
    holding.kill()
    assert client.wait(sent) == ["SUCCESS"]
    assert begun(mark) == 2


def test_after_the_last_delivery_the_slot_is_free_for_the_next_task(client, workers) -> None:
    lost = [client.send("lane.kill") for _ in workers]
    assert client.wait(*lost) == ["FAILURE"] * len(lost)
    after = [client.send("lane.add", x=1, y=number) for number in range(6)]
    assert client.wait(*after) == ["SUCCESS"] * len(after)


@pytest.mark.parametrize("odd", ["nan", "inf", "-inf", "-1", "soon", None, [], {}])
def test_odd_time_headers_cost_no_slot(client, workers, odd) -> None:
    headers = {"laneway_enqueued_at": odd, "laneway_first_enqueued_at": odd}
    publish = client.app.amqp.send_task_message
    with client.app.producer_or_acquire() as producer:
        for number in range(4):
            message = client.app.amqp.create_task_message(
                f"odd-{odd}-{number}", "lane.add", (), {"x": 1, "y": 1}
            )
            publish(producer, "lane.add", message, queue=LANE, headers=headers)
    sent = client.send("lane.add", x=1, y=1)
    assert client.wait(sent) == ["SUCCESS"]
    assert not any(w.lines("an attempt was not told") for w in workers)


def test_a_message_that_is_refused_counts_as_a_rejected_attempt(client, workers) -> None:
    sent = client.send("nobody.knows")
    assert client.wait(sent) == ["FAILURE"]
    told = [line for w in workers for line in w.lines("dead letter")]
    assert [(t["task_id"], t["task"], t["queue"], t["reason"]) for t in told] == [
        (sent.id, "nobody.knows", LANE, "unknown task")
    ]
    rejected = sum(w.metric("laneway_attempts_total", outcome="rejected") for w in workers)
    assert rejected == 1
    attempts = [a for w in workers for a in w.attempts(sent.id)]
    assert [a["outcome"] for a in attempts] == ["rejected"]


def test_the_age_of_the_oldest_message_is_told(client, redis_server, catalogue, tmp_path) -> None:
    file = str(catalogue)
    with running_worker(LANE, tmp_path, redis_server.url, queues_file=file) as worker:
        client.send("lane.sleep", seconds=30)
        for _ in range(4):
            client.send("lane.add", x=1, y=1)
        wait_for(
            lambda: worker.metric("laneway_queue_oldest_age_seconds", queue=LANE) > 0, "an age"
        )


def test_what_a_task_logs_says_whose_it_is(client, workers) -> None:
    sent = client.send("lane.log", text="from inside")
    assert client.wait(sent) == ["SUCCESS"]
    (line,) = [line for w in workers for line in w.lines("from inside")]
    assert (line["task_id"], line["task"]) == (sent.id, "lane.log")
