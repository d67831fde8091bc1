"""A worker outlives every outage of Redis, and a publisher hears of it in time."""

import time

import pytest
from kombu.exceptions import OperationalError

from lane_client import Hold, lane_client, write_catalogue
from redis_server import RedisServer, running_redis
from worker_harness import running_worker, started_worker, wait_for

pytestmark = pytest.mark.platform

UNFIT = "this Redis is not fit to hold work"
LOSES_NOTHING = {"appendonly": "yes", "appendfsync": "always"}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    lane = {"concurrency": 1, "drainSeconds": 1}
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), tough=lane)


@pytest.fixture
def settings(catalogue):
    return {"queues_file": str(catalogue), "task_modules": "lane_tasks,fate_tasks"}


@pytest.fixture
def client_of(catalogue):
    return lambda server: lane_client(server.url, "tough", catalogue)


@pytest.fixture
def hold(tmp_path):
    return Hold(tmp_path)


def unready(worker):
    return worker.get("/readyz")[0] == 503


def test_it_waits_for_redis_at_its_start_and_tells_what_is_unfit_once(
    settings, client_of, tmp_path
):
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(folder, **{"maxmemory-policy": "allkeys-lru"})
    with started_worker("tough", tmp_path, server.url, **settings) as worker:
        wait_for(lambda: worker.get("/livez")[0] == 200, "its health port")
        assert unready(worker)
        server.start()
        try:
            worker.wait_until_ready()
            server.kill()
            wait_for(lambda: unready(worker), "the worker to notice")
            assert worker.get("/livez")[0] == 200
            server.start()
            worker.wait_until_ready()
            with client_of(server) as client:
                assert client.wait(client.send("lane.add", x=1, y=2)) == ["SUCCESS"]
            told = worker.lines(UNFIT)
            assert [(line["check"], line["level"]) for line in told] == [
                ("persistence", "warning"),
                ("eviction", "error"),
            ]
            assert all(line["found"] and line["cure"] for line in told)
        finally:
            server.stop()


def test_a_restart_of_redis_loses_no_task_and_no_result(settings, client_of, hold, tmp_path):
    with (
        running_redis(tmp_path / "redis", **LOSES_NOTHING) as server,
        client_of(server) as client,
        running_worker("tough", tmp_path, server.url, **settings) as worker,
    ):
        held = client.send("fate.hold", **hold.kwargs)
        wait_for(hold.begun, "the task")
        later = [client.send("lane.add", x=n, y=1) for n in range(5)]
        server.kill()
        wait_for(lambda: unready(worker), "the worker to notice")
        assert worker.get("/livez")[0] == 200
        hold.release()
        wait_for(lambda: hold.marks()[f"ended {held.id}"], "the task to end without Redis")
        server.start()
        worker.wait_until_ready()
        assert client.wait(held, *later) == ["SUCCESS"] * 6
        assert [each.result for each in later] == [1, 2, 3, 4, 5]
        assert worker.metric("laneway_broker_reconnects_total") >= 1
        assert worker.lines(UNFIT) == []
        assert worker.stop() == 0


def test_a_frozen_redis_fails_the_publisher_in_time_and_stops_no_worker(
    settings, client_of, tmp_path
):
    with (
        running_redis(tmp_path / "redis", **LOSES_NOTHING) as server,
        client_of(server) as client,
        running_worker("tough", tmp_path, server.url, **settings) as worker,
    ):
        before = client.send("lane.add", x=1, y=2)
        client.wait(before)
        server.freeze()
        began_s = time.monotonic()
        with pytest.raises(OperationalError):
            client.send("lane.add", x=3, y=4)
        assert time.monotonic() - began_s < 10
        assert worker.get("/livez")[0] == 200
        server.thaw()
        wait_for(lambda: published(client), "the publisher to reach Redis")
        assert client.wait(client.send("lane.add", x=5, y=6)) == ["SUCCESS"]
        assert worker.stop() == 0


def published(client):
    try:
        return client.send("lane.add", x=0, y=0)
    except OperationalError:
        return None


@pytest.mark.parametrize("busy", [False, True])
def test_a_stop_without_redis_comes_to_an_end(settings, client_of, hold, tmp_path, busy):
    with (
        running_redis(tmp_path / "redis", **LOSES_NOTHING) as server,
        client_of(server) as client,
        running_worker("tough", tmp_path, server.url, **settings) as worker,
    ):
        if busy:
            client.send("fate.hold", **hold.kwargs)
            wait_for(hold.begun, "the task")
        server.kill()
        wait_for(lambda: unready(worker), "the worker to notice")
        worker.terminate()
        assert worker.wait_until_ended(60) == 0
