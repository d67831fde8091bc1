"""Losing telemetry costs telemetry alone: no task, and not without a count of what was lost."""

import signal
import threading
from pathlib import Path

import pytest

from lane_client import lane_client, write_catalogue
from observed.servers import running_collector
from worker_harness import running_worker, started_worker, wait_for

pytestmark = [pytest.mark.observed, pytest.mark.timeout(240)]

LANE = "blind"
DROPPED = "laneway_telemetry_dropped_total"


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), blind={"concurrency": 2})


@pytest.fixture
def client(module_redis, catalogue):
    with lane_client(module_redis.url, LANE, catalogue) as connected:
        yield connected


def succeed(client, count=50):
    sent = [client.send("lane.add", x=n, y=1) for n in range(count)]
    assert client.wait(*sent) == ["SUCCESS"] * count
    return sent


def test_a_collector_that_goes_and_comes_back(
    otelcol: Path, client, module_redis, catalogue, tmp_path
):
    with running_collector(otelcol, tmp_path / "collector") as collector:
        settings = {"queues_file": str(catalogue), "otlp_endpoint": collector.url}
        with running_worker(LANE, tmp_path, module_redis.url, **settings) as worker:
            succeed(client)
            wait_for(lambda: len(collector.named(f"process {LANE}")) == 50, "the first spans")
            collector.process.kill()
            collector.process.wait(10)
            succeed(client)
            lost = {"signal": "traces", "reason": "export_failed"}
            wait_for(lambda: worker.metric(DROPPED, **lost) >= 100, "the count of the lost", 60)
            collector.start()
            succeed(client, 5)
            wait_for(lambda: len(collector.named(f"process {LANE}")) >= 55, "spans again", 60)
            assert worker.stop() == 0


def test_a_collector_that_stands_still_holds_up_nothing(
    otelcol: Path, client, module_redis, catalogue, tmp_path
):
    with running_collector(otelcol, tmp_path / "collector") as collector:
        settings = {"queues_file": str(catalogue), "otlp_endpoint": collector.url}
        with running_worker(LANE, tmp_path, module_redis.url, **settings) as worker:
            succeed(client, 5)
            collector.process.send_signal(signal.SIGSTOP)
            succeed(client, 200)
            assert worker.metric("laneway_telemetry_queue_length", signal="traces") > 0
            wait_for(lambda: worker.metric(DROPPED, signal="traces") > 0, "the lost", 60)
            assert worker.stop() == 0


def test_scrapes_while_processes_fork_neither_hang_nor_miss_a_count(
    client, module_redis, catalogue, tmp_path
):
    """A process that leaves is followed by a fork; a lock may be held just then."""
    over, leaving = threading.Event(), 20
    settings = {"queues_file": str(catalogue), "task_modules": "fate_tasks,lane_tasks"}
    with running_worker(LANE, tmp_path, module_redis.url, **settings) as worker:

        def scrape():
            while not over.is_set():
                assert worker.get("/metrics")[0] == 200

        threads = [threading.Thread(target=scrape) for _ in range(3)]
        for thread in threads:
            thread.start()
        sent = [client.send("fate.leave", mark=str(tmp_path / f"{n}")) for n in range(leaving)]
        assert client.wait(*sent) == ["SUCCESS"] * leaving
        over.set()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        for outcome in ("worker_lost", "success"):
            counted = {"queue": LANE, "task": "fate.leave", "outcome": outcome}
            total = worker.metric("laneway_attempts_total", **counted)
            assert total == leaving, outcome


def test_a_full_disk_under_the_log_costs_lines_alone(client, module_redis, catalogue, tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    settings = {"queues_file": str(catalogue)}
    with started_worker(
        LANE, full, module_redis.url, log_file=Path("/dev/full"), **settings
    ) as worker:
        worker.wait_until_ready()
        succeed(client)
        assert worker.metric("laneway_attempts_total", outcome="success") == 50
        assert worker.stop() == 0
