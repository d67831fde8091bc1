"""Alerts fire when what they are for happens for real, and end when it does.

A minute of the rules is two seconds here (`hurried.py`); all else is as it is shipped. What is
provoked goes on until its alert fires, all at the same time, each on a lane of its own.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from observed.day import Platform, platform_at_work, watched
from observed.servers import Prometheus
from worker_harness import wait_for

pytestmark = [pytest.mark.observed, pytest.mark.timeout(600)]

LANES = {
    "stuck": {},
    "nobody": {},
    "killed": {"maxDeliveries": 2},
    "storm": {"concurrency": 4},
    "drained": {"drainSeconds": 1, "concurrency": 1},
    "burning": {"waitTarget": 0.001, "concurrency": 1},
}
WANTED = {
    ("LanewayQueueStuck", "page", "stuck"),
    ("LanewayNoConsumers", "page", "nobody"),
    ("LanewayWorkerLost", "ticket", "killed"),
    ("LanewayPoisonMessage", "ticket", "killed"),
    ("LanewayDeadLettersGrowing", "ticket", "killed"),
    ("LanewayRetryStorm", "ticket", "storm"),
    ("LanewayDrainLosingTasks", "ticket", "drained"),
    ("LanewayStartLatencyBurn", "page", "burning"),
    ("LanewaySuccessBurn", "page", "burning"),
}
FIRING_LIMIT_S = 150.0
RESOLVED_LIMIT_S = 240.0


@pytest.fixture(scope="module")
def platform(module_redis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("platform")
    with platform_at_work(module_redis, folder, LANES, unserved=["nobody"]) as platform:
        yield platform


@pytest.fixture(scope="module")
def server(prometheus: Path, platform: Platform):
    with watched(platform, prometheus) as running:
        yield running


def test_each_fires_on_its_lane_and_is_resolved(platform: Platform, server: Prometheus):
    wait_for(lambda: server.up() == len(platform.targets), "a first scrape")
    over = Event()
    threads = [Thread(target=provoke, args=(platform, over)) for provoke in PROVOKED]
    platform.app.control.cancel_consumer("stuck", reply=True, timeout=5)
    try:
        for thread in threads:
            thread.start()
        _drain(platform)
        fired: set[tuple[str, ...]] = set()

        def silent() -> set[tuple[str, ...]]:
            fired.update(server.firing())
            return WANTED - fired

        _see_all(silent, FIRING_LIMIT_S)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    platform.app.control.add_consumer("stuck", reply=True, timeout=5)
    platform.start("nobody")

    _see_all(lambda: WANTED & server.firing(), RESOLVED_LIMIT_S)


def _see_all(missing: Callable[[], set[tuple[str, ...]]], limit_s: float) -> None:
    """Wait until none is missing; those that are when time is up are what fails."""
    deadline_s = time.monotonic() + limit_s
    while (left := missing()) and time.monotonic() < deadline_s:
        time.sleep(0.5)
    assert left == set()


def _publish(lane: str, task: str, every_s: float, **kwargs) -> Callable[[Platform, Event], None]:
    def publish(platform: Platform, over: Event) -> None:
        client = platform.lane(lane)
        while not over.wait(every_s):
            client.send(task, **kwargs)

    return publish


PROVOKED = (
    _publish("stuck", "lane.add", 5, x=1, y=2),
    _publish("nobody", "lane.add", 5, x=1, y=2),
    _publish("killed", "lane.kill", 3),
    _publish("storm", "lane.retry", 0.1, countdown=0.2),
    _publish("burning", "lane.add", 0.1, x=1, y=2),
    _publish("burning", "lane.fail", 0.2),
)


def _drain(platform: Platform) -> None:
    """A worker whose drain is shorter than its task; another takes its place."""
    begun = platform.folder / "begun"
    held = {"release": str(platform.folder / "released"), "mark": str(begun)}
    platform.lane("drained").send("fate.hold", **held)
    wait_for(begun.exists, "a task that runs")
    worker = platform.worker_of("drained")
    worker.terminate()
    worker.wait_until_ended()
    (platform.folder / "released").touch()
    platform.start("drained")
