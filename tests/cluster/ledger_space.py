"""A release whose tasks keep a ledger, beside a Redis that no fault touches.

Accepted tasks, starts and ends are written there by who saw them (see `tests/faults/ledger.py`), so
that a verdict asks neither worker nor broker.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from redis import Redis

from cluster.images import named
from cluster.kube import CHART, Space, name_of, run, wait_until
from cluster.objects import NO_OTHER_LANES, task_modules, with_task_modules
from cluster.release import CONTAINED, RESTRICTED, SECURITY, Release, merged, namespace, stock_pod
from faults.ledger import Ledger

LANE = "work"
SETTLED_S = 240

SEND = """
import json, random, sys, time
from celery import Celery
from redis import Redis

url, ledger, task, count, every_s, low_s, high_s = sys.argv[1:]
app = Celery(broker=url)
book = Redis.from_url(ledger)
for number in range(int(count)):
    kwargs = {} if task != "faults.work" else {"seconds": random.uniform(float(low_s), float(high_s))}
    for attempt in range(600):
        try:
            sent = app.send_task(task, kwargs=kwargs, queue="work")
            break
        except Exception:
            time.sleep(0.1)
    book.rpush("accepted", sent.id)
    print(sent.id, flush=True)
    time.sleep(float(every_s))
"""


def first_node() -> str:
    """The node that is never hurt; the cluster's DNS runs there."""
    nodes = json.loads(run("kubectl", "get", "nodes", "--output", "json"))["items"]
    return min(map(name_of, nodes))


def lane_values(ledger_url: str) -> dict[str, Any]:
    """A lane of tasks that keep a ledger, and leave a lost node within seconds."""
    soon = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    return {
        "tasks": ["faults.*"],
        "replicas": 4,
        "concurrency": 2,
        "timeLimit": 150,
        "softTimeLimit": 140,
        "leaseSeconds": 10,
        "maxDeliveries": 3,
        "storageAccess": False,
        "mailAccess": False,
        "resources": {"limits": {"memory": "512Mi"}},
        "tolerations": [
            {"key": f"node.kubernetes.io/{what}", **soon} for what in ("not-ready", "unreachable")
        ],
        **tasks_module(ledger_url),
    }


def tasks_module(ledger_url: str) -> dict[str, Any]:
    """How a pod comes by the tasks, and learns where they write."""
    pod = {"fieldRef": {"fieldPath": "metadata.name"}}
    return with_task_modules(
        {"name": "FAULTS_LEDGER_URL", "value": ledger_url},
        {"name": "FAULTS_WORKER", "valueFrom": pod},
    )


def values(ledger_url: str) -> dict[str, Any]:
    """That lane alone; what holds data stays on the node that is never hurt."""
    safe = {"spec": {"nodeSelector": {"kubernetes.io/hostname": first_node()}}}
    return {
        "taskModules": ["ledger_tasks"],
        "queues": {**NO_OTHER_LANES, LANE: lane_values(ledger_url)},
        "redis": {"embedded": {"podTemplate": safe}},
        "storage": {"embedded": {"podTemplate": safe}},
        "gateway": {"replicas": 1, "podTemplate": safe, **tasks_module(ledger_url)},
        "networkPolicy": {"extraEgress": [{"ports": [{"port": 6390, "protocol": "TCP"}]}]},
    }


@dataclass
class Place:
    """The book's Redis, for `Ledger`."""

    url: str

    def client(self) -> "Redis":
        """A client that reads text."""
        return Redis.from_url(self.url, decode_responses=True)


@dataclass
class Arena:
    """The release under fault, its ledger, and who sends to it."""

    release: Release
    ledger_url: str
    """As pods see it."""
    place: Place
    """As seen from here."""

    @property
    def space(self) -> Space:
        """Where it runs."""
        return self.release.space

    @property
    def lane(self) -> str:
        """The labels of the lane's workers."""
        return self.release.selector("worker", LANE)

    def workers(self) -> list[dict[str, Any]]:
        """Workers that serve."""
        return self.space.ready_pods(self.lane)

    def all_ready(self, count: int = 4, limit_s: float = 180) -> None:
        """Wait until so many workers serve."""
        wait_until(f"{count} workers serve", lambda: len(self.workers()) >= count, limit_s)

    @contextmanager
    def book(self) -> Iterator[Ledger]:
        """A fresh ledger."""
        self.place.client().flushall()
        ledger = Ledger(self.place)  # type: ignore[arg-type]
        try:
            yield ledger
        finally:
            ledger.close()

    @contextmanager
    def sending(
        self,
        count: int,
        every_s: float,
        seconds: tuple[float, float],
        task: str = "faults.work",
    ) -> Iterator[None]:
        """Send tasks from a pod with stock Celery while the block goes on, and then the rest."""
        password = self.space.secret(f"{self.release.name}-redis-users")["producer"]
        url = f"redis://producer:{password}@{self.release.name}-redis:6379/0"
        asked = (url, self.ledger_url, task, str(count), str(every_s), *map(str, seconds))
        words = ["kubectl", "--namespace", self.space.name, "exec", "-i", "producer", "--"]
        with Popen([*words, "python", "-", *asked], stdin=PIPE, stdout=PIPE, text=True) as sender:
            assert sender.stdin is not None
            sender.stdin.write(SEND)
            sender.stdin.close()
            sender.stdin = None
            yield
            told, _ = sender.communicate(timeout=300)
            assert sender.returncode == 0
            assert len(told.split()) == count

    def settle(
        self, ledger: Ledger, dead: set[str] = frozenset(), limit_s: float = SETTLED_S
    ) -> None:  # type: ignore[assignment]
        """Wait until all accepted tasks have ended, but for the dead."""
        wait_until("all tasks have ended", lambda: not ledger.missing() - dead, limit_s)

    def lane_state(self) -> dict[str, Any]:
        """What the gateway tells of the lane."""
        with self.release.gateway() as gateway:
            lanes = gateway.call("GET", "/v1/queues")["queues"]
        return dict(next(lane for lane in lanes if lane["queue"] == LANE))


@contextmanager
def open_arena(name: str, image: str, chart: Path = CHART, **lane: Any) -> Iterator[Arena]:
    """The release of a chart, with fields of its lane, its ledger and a producer, up and ready."""
    with namespace(f"{name}-ledger") as beside, namespace(name, RESTRICTED) as space:
        beside.apply(*ledger_objects())
        beside.kubectl("wait", "--for=condition=Ready", "pod/ledger", "--timeout=60s")
        url = f"redis://ledger.{name}-ledger:6390/0"
        space.apply(task_modules("ledger_tasks"))
        producer = stock_pod("producer", ["sleep", "36000"], **{"laneway/producer": "true"})
        producer["spec"]["nodeSelector"] = {"kubernetes.io/hostname": first_node()}
        space.apply(producer)
        given = merged(values(url), {"queues": {LANE: lane}})
        release = Release(space, image, values=given)
        release.install(chart=chart)
        space.kubectl("wait", "--for=condition=Ready", "pod/producer", "--timeout=60s")
        with beside.reach("ledger", 6390) as place:
            yield Arena(release, url, Place(f"redis://{place}/0"))


def ledger_objects() -> list[dict[str, Any]]:
    """A Redis of its own, without a rule."""
    container = {
        "name": "redis",
        "image": named("redis"),
        "command": ["redis-server", "--port", "6390", "--save", "", "--protected-mode", "no"],
        "securityContext": CONTAINED,
        "readinessProbe": {"tcpSocket": {"port": 6390}, "periodSeconds": 1},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "ledger", "labels": {"app": "ledger"}},
        "spec": {
            "containers": [container],
            "securityContext": SECURITY,
            "nodeSelector": {"kubernetes.io/hostname": first_node()},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "ledger"},
        "spec": {"selector": {"app": "ledger"}, "ports": [{"port": 6390}]},
    }
    return [pod, service]
