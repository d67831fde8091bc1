"""A day of load and faults in a minute: everything happens at least once that a lane can meet.

Three lanes: `docs` on processes, `mail` on threads, and `slow`, which has one slot and too much to
do. What is published passes a gateway's app, which is scraped like the workers.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from celery import Celery

from gateway_harness import make_api, serving
from lane_client import LaneClient, Sent, write_catalogue
from laneway.observability.headers import ENQUEUED_AT, PERIODIC
from laneway.observability.tracing import start_tracing
from laneway.tasks.status import revoke
from observed.hurried import write_hurried_rules
from observed.servers import Prometheus, running_prometheus, write_targets
from redis_server import RedisServer
from worker_harness import RunningWorker, running_worker, wait_for

_LANE = {"concurrency": 2, "maxDeliveries": 2, "waitTarget": 2, "leaseSeconds": 5}
LANES: dict[str, dict[str, Any]] = {
    "docs": _LANE,
    "mail": {**_LANE, "pool": "threads"},
    "slow": {**_LANE, "concurrency": 1},
}
MODULES = "lane_tasks,fate_tasks"
TASKS = ("lane.add", "lane.retry", "lane.fail", "lane.kill", "fate.short", "fate.hold")
GARBAGE = b"{no message"


class Platform:
    """Workers of lanes, and a gateway whose app publishes."""

    def __init__(
        self,
        server: RedisServer,
        folder: Path,
        lanes: dict[str, dict[str, Any]],
        collector_url: str | None = None,
    ) -> None:
        self.redis, self.folder = server, folder
        self.catalogue = write_catalogue(folder, **lanes)
        self._settings = {"queues_file": str(self.catalogue), "task_modules": MODULES}
        if collector_url is not None:
            self._settings["otlp_endpoint"] = collector_url
        self._stack = ExitStack()
        self._tracing = start_tracing(collector_url, "gateway")
        self._stack.callback(self._tracing.shutdown)
        self.workers: list[RunningWorker] = []
        self.on_change: Callable[[], None] = lambda: None
        """Called when another worker is to be scraped."""

    def open(self) -> None:
        """Start the gateway."""
        results = self.redis.url.removesuffix("/0") + "/1"
        api = make_api(
            self.redis.url,
            self._tracing.tracer,
            result_url=results,
            queues_file=self.catalogue,
        )
        api.state.gateway.metrics.know_tasks(TASKS)
        self.gateway_url = self._stack.enter_context(serving(api))
        self.app = api.state.gateway.app

    def lane(self, name: str) -> LaneClient:
        """Publishes to a lane."""
        return LaneClient(self.app, name)

    def start(self, lane: str) -> RunningWorker:
        """One more worker of a lane."""
        folder = self.folder / f"{lane}-{len(self.workers)}"
        folder.mkdir()
        worker = self._stack.enter_context(
            running_worker(lane, folder, self.redis.url, **self._settings)
        )
        self.workers.append(worker)
        self.on_change()
        return worker

    def worker_of(self, lane: str) -> RunningWorker:
        """The youngest worker of a lane that lives."""
        alive = [w for w in self.workers if w.queue == lane and w.process.poll() is None]
        return alive[-1]

    def close(self) -> None:
        """End everything."""
        self._stack.close()

    @property
    def targets(self) -> dict[str, str]:
        """What is to be scraped now, by the name of its pod: what lives."""
        alive = [worker for worker in self.workers if worker.process.poll() is None]
        workers = {f"{w.queue}-{w.port}": f"127.0.0.1:{w.port}" for w in alive}
        return {"gateway": self.gateway_url.removeprefix("http://"), **workers}


@contextmanager
def platform_at_work(
    server: RedisServer,
    folder: Path,
    lanes: dict[str, dict[str, Any]],
    collector_url: str | None = None,
    unserved: Sequence[str] = (),
) -> Iterator[Platform]:
    """A gateway, and a worker for each lane but the `unserved`."""
    platform = Platform(server, folder, lanes, collector_url)
    try:
        platform.open()
        for lane in lanes:
            if lane not in unserved:
                platform.start(lane)
        yield platform
    finally:
        platform.close()


@contextmanager
def watched(platform: Platform, binary: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the platform, workers that come later too, with hurried rules."""
    folder = platform.folder / "prometheus"
    rules = write_hurried_rules(platform.folder)
    with running_prometheus(binary, folder, platform.targets, rules) as server:
        platform.on_change = lambda: write_targets(folder, platform.targets)
        yield server


def live_a_day(platform: Platform) -> None:
    """Let everything happen once; takes half a minute. The platform has LANES."""
    _succeed(platform)
    waiting = _fail(platform)
    waiting += _be_called_off(platform)
    _break_the_lane(platform)
    for sent in waiting:
        wait_for(sent.ended, f"the end of {sent.id}", 60)
    _drain(platform)
    _freeze(platform)
    _end_busily(platform)


def _succeed(platform: Platform) -> None:
    docs, mail = platform.lane("docs"), platform.lane("mail")
    sent = [lane.send("lane.add", x=1, y=2) for lane in (docs, mail) for _ in range(50)]
    sent += [docs.send_with("lane.add", {"priority": 9}, x=1, y=2) for _ in range(3)]
    sent += [mail.send_with("lane.add", {"headers": {PERIODIC: "hourly"}}, x=1, y=2)]
    sent += [docs.send_with("lane.add", {"countdown": 1}, x=1, y=2)]
    sent += [lane.send("fate.chained") for lane in (docs, mail)]
    sent += [docs.send("fate.rated") for _ in range(8)]
    docs.wait(*sent)
    # More than its one slot can do in time.
    for _ in range(12):
        platform.lane("slow").send("fate.short", mark=str(platform.folder / "slow"), seconds=1.5)


def _fail(platform: Platform) -> list[Sent]:
    docs, mail, mark = platform.lane("docs"), platform.lane("mail"), platform.folder / "killed"
    return [
        *(lane.send("lane.retry", countdown=0.5) for lane in (docs, mail) for _ in range(5)),
        *(lane.send("lane.fail") for lane in (docs, mail)),
        mail.send("lane.reject"),
        docs.send("lane.soft_limit"),
        docs.send("fate.soft_handled"),
        docs.send("lane.hard_limit"),
        docs.send("lane.kill", mark=str(mark), survive_after=1),
        docs.send("lane.kill"),
    ]


def _be_called_off(platform: Platform) -> list[Sent]:
    docs = platform.lane("docs")
    past = datetime.now(UTC) + timedelta(milliseconds=1)
    expired = docs.send_with("lane.add", {"expires": past, "countdown": 1}, x=1, y=2)
    begun = platform.folder / "begun"
    held = docs.send("fate.hold", release=str(platform.folder / "never"), mark=str(begun))
    wait_for(begun.exists, "the task that is to be terminated", 60)
    revoke(platform.app, held.id, terminate=True)
    return [expired, held]


def _break_the_lane(platform: Platform) -> None:
    with platform.redis.client() as client:
        client.lpush("docs", GARBAGE)
        client.config_set("maxmemory", 2**30)
        client.client_kill_filter(_type="normal", skipme=True)
    with Celery(broker=platform.redis.url, set_as_current=False) as stock:
        ahead = {ENQUEUED_AT: f"{time.time() + 60:.6f}"}
        stock.send_task("lane.add", (1, 2), queue="docs", headers=ahead)
    with suppress(HTTPError):
        urlopen(f"{platform.gateway_url}/v1/queues", timeout=10)


def _drain(platform: Platform) -> None:
    """One worker stops while it runs something, another takes its place."""
    mark = platform.folder / "drained"
    worker = platform.worker_of("docs")
    held = platform.lane("docs").send("fate.short", mark=str(mark), seconds=4)
    wait_for(lambda: worker.metric("laneway_running", task="fate.short") > 0, "what runs")
    platform.start("docs")
    worker.terminate()
    time.sleep(2)  # long enough to be scraped while it drains
    wait_for(held.ended, "what ran during the drain")
    worker.wait_until_ended()


def _end_busily(platform: Platform) -> None:
    """What shows the moment shows something."""
    lanes = [platform.lane(name) for name in LANES]
    for _ in range(30):
        sent = [lane.send("lane.add", x=1, y=2) for lane in lanes]
        lanes[0].send("lane.retry", countdown=0.1)
        time.sleep(0.1)
    lanes[0].wait(*sent)


def _freeze(platform: Platform) -> None:
    """A worker stands still for longer than its lease: another has its messages meanwhile."""
    frozen = platform.worker_of("slow")
    helper = platform.start("slow")
    frozen.process.send_signal(signal.SIGSTOP)
    wait_for(lambda: helper.metric("laneway_recovered_total") > 0, "what the frozen one held", 60)
    frozen.process.send_signal(signal.SIGCONT)
    wait_for(lambda: frozen.metric("laneway_late_ends_total") > 0, "its late word", 60)
