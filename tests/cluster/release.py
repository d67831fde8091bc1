"""A release of the chart in a namespace of its own, under the rules of Pod Security `restricted`."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml

from cluster import nodes
from cluster.images import STOCK
from cluster.kube import CHART, Space, run, wait_until
from laneway.services.local.gateway_client import GatewayClient

RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
READY_S = 60
"""Within which a fresh release serves."""

SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@dataclass
class Release:
    """What was installed, and doors to it."""

    space: Space
    image: str
    name: str = "laneway"
    values: dict[str, Any] = field(default_factory=dict)

    def install(self, *words: str, chart: Any = CHART, limit_s: int = READY_S) -> str:
        """Install or upgrade, and wait until all serve; what helm printed."""
        repository, _, tag = self.image.rpartition(":")
        image = {"image": {"repository": repository, "tag": tag}}
        given = json.dumps({**image, **self.values})
        how = ["upgrade", "--install", self.name, str(chart), "--values", "-", *words]
        waiting = ["--wait", "--timeout", f"{limit_s}s"]
        return self.space.helm(*how, *waiting, stdin=given, timeout_s=limit_s + 60)

    def upgrade(self, values: Mapping[str, Any], limit_s: int = 180) -> str:
        """Lay further values over the present ones."""
        self.values = merged(self.values, values)
        return self.install(limit_s=limit_s)

    def test(self) -> str:
        """What `helm test` printed; raises Refused if it failed."""
        return self.space.helm("test", self.name, "--logs", timeout_s=400)

    def selector(self, component: str, queue: str = "") -> str:
        """The labels of a part's pods."""
        told = f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"
        return f"{told},laneway/queue={queue}" if queue else told

    def pods(self, component: str, queue: str = "") -> list[dict[str, Any]]:
        """Pods of a part that are not on their way out."""
        return self.space.pods(self.selector(component, queue))

    def scale(self, kind_and_name: str, replicas: int) -> None:
        """Set the number of pods, and wait until it holds."""
        self.space.kubectl("scale", kind_and_name, f"--replicas={replicas}")
        self.space.kubectl("rollout", "status", kind_and_name, "--timeout=120s", timeout_s=150)

    @contextmanager
    def gateway(self) -> Iterator[GatewayClient]:
        """The gateway, with the token that the chart made."""
        token = self.space.secret(f"{self.name}-gateway-tokens")["token"]
        with self.space.reach(f"{self.name}-gateway", 80) as place:
            yield GatewayClient(f"http://{place}", token)

    def succeeded(self, gateway: GatewayClient, task_id: str, limit_s: float = 60) -> Any:
        """The result of a task, once it has one."""

        def ask() -> Any:
            status = gateway.status(task_id)
            assert status["state"] not in {"FAILURE", "REVOKED"}, status
            return status if status["state"] == "SUCCESS" else None

        return wait_until(f"task {task_id}", ask, limit_s)["result"]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Values over values, as helm lays them."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


@contextmanager
def namespace(name: str, *labels: str) -> Iterator[Space]:
    """A namespace that is gone with all in it when the block ends."""
    space = Space(name)
    run("kubectl", "delete", "namespace", name, "--ignore-not-found", timeout_s=400)
    nodes.recycle_volumes()
    run("kubectl", "create", "namespace", name)
    if labels:
        run("kubectl", "label", "namespace", name, *labels)
    try:
        yield space
    finally:
        # Workers may drain for minutes; a namespace waits for as long as they might.
        space.kubectl("delete", "deployments,statefulsets,jobs", "--all", "--wait=false")
        space.kubectl("delete", "pods", "--all", "--grace-period=1", "--wait=false")
        run("kubectl", "delete", "namespace", name, "--wait=false")


def stock_pod(name: str, command: list[str], **labels: str) -> dict[str, Any]:
    """A pod with Python, stock Celery and aiosmtpd, and nothing of Laneway."""
    container = {
        "name": "stock",
        "image": STOCK,
        "imagePullPolicy": "Never",
        "command": command,
        "securityContext": CONTAINED,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [container], "securityContext": SECURITY, "restartPolicy": "Never"},
    }


def catalogue_of(space: Space, release: str) -> dict[str, Any]:
    """The queue catalogue as the pods see it."""
    data = space.get("configmap", f"{release}-config")["data"]
    return dict(yaml.safe_load(data["queues.yaml"]))
