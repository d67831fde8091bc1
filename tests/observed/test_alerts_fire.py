"""Alerts fire when what they are for happens for real, and end when it does.

A minute of the rules is two seconds here (`hurried.py`); all else is as it is shipped. What is
provoked goes on until its alert fires, all at the same time, each on a lane of its own.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest

from observed.day import Platform
from observed.hurried import write_hurried_rules
from observed.servers import Prometheus, running_prometheus, write_targets
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
    "LanewayQueueStuck": "stuck",
    "LanewayNoConsumers": "nobody",
    "LanewayWorkerLost": "killed",
    "LanewayPoisonMessage": "killed",
    "LanewayDeadLettersGrowing": "killed",
    "LanewayRetryStorm": "storm",
    "LanewayDrainLosingTasks": "drained",
    "LanewayStartLatencyBurn": "burning",
    "LanewaySuccessBurn": "burning",
}
FIRING_LIMIT_S = 150.0
RESOLVED_LIMIT_S = 240.0


@pytest.fixture(scope="module")
def platform(module_redis, tmp_path_factory):
    platform = Platform(module_redis, tmp_path_factory.mktemp("platform"), LANES)
    try:
        platform.open()
        for lane in LANES:
            if lane != "nobody":
                platform.start(lane)
        yield platform
    finally:
        platform.close()


@pytest.fixture(scope="module")
def server(prometheus: Path, platform: Platform, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rules")
    rules = write_hurried_rules(folder)
    with running_prometheus(prometheus, folder / "prom", platform.targets, rules) as running:
        running.folder = folder / "prom"
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
        fired: set[tuple[str, str]] = set()

        def all_fired() -> bool:
            fired.update(server.firing())
            return set(WANTED.items()) <= fired

        try:
            wait_for(all_fired, "every alert", FIRING_LIMIT_S)
        except AssertionError:
            assert set(WANTED.items()) - fired == set()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    platform.app.control.add_consumer("stuck", reply=True, timeout=5)
    platform.start("nobody")
    write_targets(server.folder, platform.targets)

    def none_left() -> bool:
        return not set(WANTED.items()) & server.firing()

    wait_for(none_left, f"the end of {server.firing()}", RESOLVED_LIMIT_S)


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
