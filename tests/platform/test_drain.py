"""A worker that is told to stop finishes what runs and gives back the rest."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from lane_client import Hold, lane_client, once_each, write_catalogue
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.client import broker_client
from worker_harness import running_worker, started_worker, wait_for

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(
        tmp_path_factory.mktemp("catalogue"),
        patient={"concurrency": 1, "prefetch": 2},
        hasty={"concurrency": 2, "drainSeconds": 1},
        threads={"concurrency": 2, "drainSeconds": 1, "pool": "threads"},
        busy={"concurrency": 2},
    )


@pytest.fixture
def settings(catalogue):
    return {"queues_file": str(catalogue), "task_modules": "lane_tasks,fate_tasks"}


@pytest.fixture
def clients(module_redis, catalogue):
    """By lane, a producer on an empty Redis."""
    with module_redis.client() as redis:
        redis.flushall()
    with lane_client(module_redis.url, "patient", catalogue) as client:
        yield {lane: type(client)(client.app, lane) for lane in client.app.catalogue}


@pytest.fixture
def hold(tmp_path):
    return Hold(tmp_path)


def backlog(client):
    return read_backlogs(broker_client(client.app.settings), [client.lane])[client.lane]


def test_what_runs_ends_and_what_waits_is_given_back_at_once(
    module_redis, clients, settings, hold, tmp_path
):
    client = clients["patient"]
    with running_worker("patient", tmp_path, module_redis.url, **settings) as worker:
        first = client.send("fate.hold", **hold.kwargs)
        wait_for(hold.begun, "the first task")
        later = [client.send("fate.hold", **hold.kwargs) for _ in range(3)]
        delayed = client.send_with("fate.hold", {"countdown": 3600}, **hold.kwargs)
        wait_for(lambda: backlog(client).in_flight >= 3, "the prefetched")
        worker.terminate()
        wait_for(lambda: worker.get("/readyz")[0] == 503, "the end of readiness")
        wait_for(lambda: backlog(client).in_flight == 1, "the prefetched to be given back")
        assert (backlog(client).ready, backlog(client).delayed) == (3, 1)
        assert worker.get("/livez")[0] == 200
        worker.terminate()
        hold.release()
        assert worker.wait_until_ended() == 0
        assert first.state == "SUCCESS"
        assert [line["outcome"] for line in worker.attempts()] == ["success"]
    with running_worker("patient", tmp_path, module_redis.url, **settings) as worker:
        assert client.wait(*later) == ["SUCCESS"] * 3
        assert worker.stop() == 0
    assert hold.marks() == once_each(first, *later)
    assert delayed.state == "PENDING"
    assert backlog(client).delayed == 1


def test_a_signal_to_the_whole_group_leaves_the_children_to_finish(
    module_redis, clients, settings, hold, tmp_path
):
    client = clients["busy"]
    with running_worker("busy", tmp_path, module_redis.url, **settings) as worker:
        sent = [client.send("fate.hold", **hold.kwargs) for _ in range(2)]
        wait_for(lambda: hold.begun() == 2, "both tasks")
        os.killpg(worker.process.pid, signal.SIGTERM)
        wait_for(lambda: worker.get("/readyz")[0] == 503, "the end of readiness")
        hold.release()
        assert worker.wait_until_ended() == 0
        assert [line["outcome"] for line in worker.attempts()] == ["success"] * 2
    assert [each.state for each in sent] == ["SUCCESS"] * 2


@pytest.mark.parametrize(
    ("number", "lane"),
    [(signal.SIGTERM, "hasty"), (signal.SIGTERM, "threads"), (signal.SIGQUIT, "busy")],
    ids=["SIGTERM", "SIGTERM to threads", "SIGQUIT"],
)
def test_what_outlasts_its_time_is_run_by_another_worker(
    module_redis, clients, settings, hold, tmp_path, number, lane
):
    """SIGTERM leaves `drainSeconds` for it, SIGQUIT none."""
    client = clients[lane]
    with running_worker(lane, tmp_path, module_redis.url, **settings) as worker:
        sent = [client.send("fate.hold", **hold.kwargs) for _ in range(2)]
        wait_for(lambda: hold.begun() == 2, "both tasks")
        worker.process.send_signal(number)
        assert worker.wait_until_ended() == 0
        assert [line["outcome"] for line in worker.attempts()] == ["shutdown_requeued"] * 2
    assert backlog(client).ready == 2
    hold.release()
    with running_worker(lane, tmp_path, module_redis.url, **settings) as worker:
        assert client.wait(*sent) == ["SUCCESS"] * 2
        assert worker.stop() == 0
        assert [line["outcome"] for line in worker.attempts()] == ["success"] * 2


def test_stops_under_load_lose_nothing_and_run_nothing_twice(
    module_redis, clients, settings, tmp_path
):
    client, marks = clients["busy"], tmp_path / "marks"
    marks.touch()
    moments = [0.005, 0.0] * 300
    sent = [client.send("fate.short", mark=str(marks), seconds=moment) for moment in moments]
    for _ in range(5):
        seen = len(marks.read_text().split())
        with running_worker("busy", tmp_path, module_redis.url, **settings) as worker:
            wait_for(lambda n=seen: len(marks.read_text().split()) > n + 20, "tasks to run")
            assert worker.stop() == 0
        assert backlog(client).in_flight == 0
    with running_worker("busy", tmp_path, module_redis.url, **settings) as worker:
        assert client.wait(*sent) == ["SUCCESS"] * len(sent)
        assert worker.stop() == 0
    assert sorted(marks.read_text().split()) == sorted(each.id for each in sent)


@pytest.mark.parametrize("moment", ["its first breath", "its health port"])
def test_a_stop_before_it_is_ready_ends_it_and_takes_no_message_along(
    module_redis, clients, settings, tmp_path, moment
):
    sent = clients["busy"].send("lane.add", x=1, y=2)
    with started_worker("busy", tmp_path, module_redis.url, **settings) as worker:
        if moment == "its health port":
            wait_for(lambda: worker.get("/livez")[0], "the health port")
        worker.terminate()
        assert worker.wait_until_ended() in (0, -signal.SIGTERM)
    assert backlog(clients["busy"]).in_flight == 0
    assert sent.state == "SUCCESS" or backlog(clients["busy"]).ready == 1


def test_a_killed_worker_leaves_no_process_and_its_task_to_another(
    module_redis, clients, settings, hold, tmp_path
):
    client = clients["busy"]
    with running_worker("busy", tmp_path, module_redis.url, **settings) as worker:
        sent = client.send("fate.hold", **hold.kwargs)
        wait_for(hold.begun, "the task")
        children = worker.pool_processes()
        assert children
        worker.kill()
        wait_for(lambda: not any(map(process_exists, children)), "the end of its pool")
    assert backlog(client).in_flight == 1
    hold.release()
    end_leases(client)
    with running_worker("busy", tmp_path, module_redis.url, **settings) as worker:
        assert client.wait(sent) == ["SUCCESS"]
        [line] = wait_for(lambda: worker.attempts(sent.id), "the attempt")
        assert (line["outcome"], line["redelivered"]) == ("success", True)
    assert hold.marks() == {f"begun {sent.id}": 2, f"ended {sent.id}": 1}


def process_exists(pid):
    return Path(f"/proc/{pid}").exists()


def end_leases(client):
    """Let the leases of the lane look as if they had run out an hour ago."""
    with broker_client(client.app.settings) as redis:
        name = keys.leases(client.lane)
        for worker, ends_at_ms in redis.zrange(name, 0, -1, withscores=True):
            redis.zadd(name, {worker: ends_at_ms - 3_600_000})


def test_signals_on_top_of_each_other_end_the_worker_all_the_same(redis_server, tmp_path):
    with running_worker("notifications", tmp_path, redis_server.url) as worker:
        for number in (signal.SIGTERM, signal.SIGQUIT) * 50:
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)
        assert worker.wait_until_ended() == 0
        assert worker.lines("draining: no more messages are taken")
