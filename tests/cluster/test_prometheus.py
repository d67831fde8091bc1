"""A Prometheus in the cluster finds every pod by what the chart says, and every dashboard has data."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import yaml

from cluster import nodes
from cluster.images import PROMETHEUS
from cluster.kube import name_of, wait_until
from cluster.objects import NO_OTHER_LANES, config_map, task_modules, with_task_modules
from cluster.release import CONTAINED, RESTRICTED, SECURITY, Release, namespace, stock_pod
from laneway.observability.headers import ENQUEUED_AT, PERIODIC
from laneway.services.local.gateway_client import GatewayClient
from observed.day import LANES
from observed.hurried import write_hurried_rules
from observed.panels import empty_panels
from observed.servers import Prometheus, window

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

MODULES = ("lane_tasks", "fate_tasks")
ADD = {"x": 1, "y": 2}

BREAK = """
import json, sys, time
from datetime import datetime, timedelta, timezone
from celery import Celery
from redis import Redis

url, held, periodic, enqueued_at = sys.argv[1:]
app = Celery(broker=url)
past = datetime.now(timezone.utc) + timedelta(milliseconds=1)
app.send_task("lane.add", kwargs={"x": 1, "y": 2}, queue="docs", expires=past, countdown=1)
app.send_task("lane.add", kwargs={"x": 1, "y": 2}, queue="mail", headers={periodic: "hourly"})
ahead = {enqueued_at: f"{time.time() + 60:.6f}"}
app.send_task("lane.add", kwargs={"x": 1, "y": 2}, queue="docs", headers=ahead)
app.control.revoke(held, terminate=True)
redis = Redis.from_url(url)
redis.lpush("docs", b"{no message")
redis.client_kill_filter(_type="normal", skipme=True)
"""


def values() -> dict[str, Any]:
    """The lanes of a day, with the annotations by which a Prometheus without operator scrapes."""
    pods = with_task_modules()
    shared = {**pods, "storageAccess": False, "mailAccess": False}
    lanes = {name: {**lane, **shared} for name, lane in LANES.items()}
    lanes["slow"]["replicas"] = 2
    return {
        "taskModules": list(MODULES),
        "queues": {**NO_OTHER_LANES, **lanes},
        "gateway": {"replicas": 1, **pods},
        "metrics": {"annotations": True},
        "settings": {"broker_timeout_s": 2},
    }


@pytest.fixture(scope="module")
def seen(image: str) -> Iterator[Release]:
    with namespace("seen", RESTRICTED) as space:
        producer = stock_pod("producer", ["sleep", "36000"], **{"laneway/producer": "true"})
        space.apply(task_modules(*MODULES), producer)
        release = Release(space, image, values=values())
        release.install()
        space.kubectl("wait", "--for=condition=Ready", "pod/producer", "--timeout=60s")
        yield release


@pytest.fixture(scope="module")
def prometheus(seen: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """In a namespace of its own, which may see the pods of the release."""
    rules = write_hurried_rules(tmp_path_factory.mktemp("rules"))
    with namespace("seen-by", RESTRICTED) as space:
        seen.space.apply(*right_to_see_pods("seen-by"))
        space.apply(*prometheus_objects(seen.space.name, rules))
        space.kubectl("wait", "--for=condition=Ready", "pod/prometheus", "--timeout=60s")
        with space.reach("prometheus", 9090) as place:
            yield Prometheus(f"http://{place}")


def right_to_see_pods(whose: str) -> list[dict[str, Any]]:
    """For the account `prometheus` of another namespace."""
    group = "rbac.authorization.k8s.io"
    named = {"apiVersion": f"{group}/v1", "metadata": {"name": "prometheus"}}
    rights = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}
    account = {"kind": "ServiceAccount", "name": "prometheus", "namespace": whose}
    role = {"kind": "Role", "name": "prometheus", "apiGroup": group}
    return [
        {**named, "kind": "Role", "rules": [rights]},
        {**named, "kind": "RoleBinding", "subjects": [account], "roleRef": role},
    ]


def prometheus_objects(watched: str, rules: list[Path]) -> list[dict[str, Any]]:
    """A Prometheus that scrapes a namespace."""
    words = ["--config.file=/config/prometheus.yml", "--storage.tsdb.path=/data"]
    container = {
        "name": "prometheus",
        "image": PROMETHEUS,
        "imagePullPolicy": "IfNotPresent",
        "command": ["prometheus", *words, "--enable-feature=exemplar-storage"],
        "securityContext": CONTAINED,
        "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "config", "mountPath": "/config"},
            {"name": "data", "mountPath": "/data"},
        ],
    }
    spec = {
        "serviceAccountName": "prometheus",
        "containers": [container],
        "securityContext": {**SECURITY, "fsGroup": 10001},
        "volumes": [
            {"name": "config", "configMap": {"name": "config"}},
            {"name": "data", "emptyDir": {}},
        ],
    }
    own = {"name": "prometheus", "labels": {"app": "prometheus"}}
    files = {"prometheus.yml": yaml.safe_dump(configuration(watched, rules))}
    service = {"selector": {"app": "prometheus"}, "ports": [{"port": 9090}]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "prometheus"}},
        config_map("config", files | {path.name: path.read_text() for path in rules}),
        {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": own, "spec": service},
    ]


def configuration(watched: str, rules: list[Path]) -> dict[str, Any]:
    """What Prometheus' own example says of pods with such annotations, for one namespace."""
    annotation = "__meta_kubernetes_pod_annotation_prometheus_io_"
    relabelings = [
        {"source_labels": [f"{annotation}scrape"], "action": "keep", "regex": "true"},
        {"source_labels": [f"{annotation}path"], "target_label": "__metrics_path__"},
        {
            "source_labels": ["__meta_kubernetes_pod_ip", f"{annotation}port"],
            "separator": ":",
            "target_label": "__address__",
        },
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": ["__meta_kubernetes_pod_name"], "target_label": "pod"},
    ]
    found = {"role": "pod", "namespaces": {"names": [watched]}}
    every = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    job = {"job_name": "pods", "honor_labels": True, "kubernetes_sd_configs": [found]}
    return {
        "global": every,
        "rule_files": [f"/config/{path.name}" for path in rules],
        "scrape_configs": [{**job, "relabel_configs": relabelings}],
    }


def test_every_pod_of_workers_and_gateway_is_scraped(seen: Release, prometheus: Prometheus) -> None:
    pods = {name_of(pod) for part in ("worker", "gateway") for pod in seen.pods(part)}

    def scraped() -> bool:
        return {one["metric"]["pod"] for one in prometheus.query("up == 1")} == pods

    assert len(pods) == 5
    wait_until("every pod is scraped, and nothing else", scraped, 60)


def test_no_panel_of_any_dashboard_is_empty(seen: Release, prometheus: Prometheus) -> None:
    with seen.gateway() as gateway:
        live_a_day(seen, gateway)
    start_s, end_s = window(120)
    assert empty_panels(prometheus.url, start_s, end_s, scrape_s=1) == []


def live_a_day(release: Release, gateway: GatewayClient) -> None:
    """Let everything happen once that a lane can meet."""
    for _ in range(20):
        sent = [send(gateway, lane, "lane.add", **ADD) for lane in ("docs", "mail")]
    send(gateway, "docs", "lane.add", {"priority": 9}, **ADD)
    send(gateway, "docs", "lane.add", {"countdown": 1}, **ADD)
    for task in ("fate.chained", "lane.fail", "lane.reject"):
        send(gateway, "mail", task)
    for task in ("lane.soft_limit", "fate.soft_handled", "lane.hard_limit", "lane.kill"):
        send(gateway, "docs", task)
    send(gateway, "docs", "lane.kill", mark="/tmp/killed", survive_after=1)
    for _ in range(8):
        send(gateway, "docs", "fate.rated")
    for lane in ("docs", "mail") * 5:
        send(gateway, lane, "lane.retry", countdown=0.5)
    for _ in range(12):
        send(gateway, "slow", "fate.short", mark="/tmp/slow", seconds=1.5)
    break_the_lane(release, gateway)
    for task in sent:
        release.succeeded(gateway, task)
    drain(release, gateway)
    freeze(release, gateway)
    for _ in range(30):
        for lane in LANES:
            last = send(gateway, lane, "lane.add", **ADD)
        send(gateway, "docs", "lane.retry", countdown=0.1)
        time.sleep(0.1)
    release.succeeded(gateway, last)


def send(
    gateway: GatewayClient,
    queue: str,
    task: str,
    options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> str:
    """Submit a task over HTTP; its id."""
    body = json.dumps({"task": task, "kwargs": kwargs, **(options or {})}).encode()
    return str(gateway.call("POST", f"/v1/queues/{queue}/tasks", body)["task_id"])


def break_the_lane(release: Release, gateway: GatewayClient) -> None:
    """Expired, terminated, garbled, ahead of its time; connections cut, a caller without a token."""
    held = send(gateway, "docs", "fate.hold", release="/tmp/never")
    wait_until("it runs", lambda: gateway.status(held)["state"] != "PENDING", 60)
    password = release.space.secret("laneway-redis-users")["admin"]
    url = f"redis://admin:{password}@laneway-redis:6379/0"
    release.space.python("producer", BREAK, url, held, PERIODIC, ENQUEUED_AT)
    with release.space.reach("laneway-gateway", 80) as place, pytest.raises(HTTPError):
        urlopen(f"http://{place}/v1/queues", timeout=10)


def drain(release: Release, gateway: GatewayClient) -> None:
    """Workers end while they run something."""
    for _ in range(4):
        send(gateway, "docs", "fate.short", mark="/tmp/drained", seconds=6)
    time.sleep(1)
    release.space.kubectl("rollout", "restart", "deployment/laneway-worker-docs")
    status = ("rollout", "status", "deployment/laneway-worker-docs", "--timeout=120s")
    release.space.kubectl(*status)


def freeze(release: Release, gateway: GatewayClient) -> None:
    """A worker stands still for longer than its lease; another has its messages meanwhile."""
    for _ in range(6):
        send(gateway, "slow", "fate.short", mark="/tmp/slow", seconds=1.5)
    (frozen, *_) = release.pods("worker", "slow")
    with nodes.frozen(frozen):
        time.sleep(12)
    time.sleep(5)
