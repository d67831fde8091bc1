"""What befalls nodes and containers, by the tool that made the cluster (`CLUSTER_TOOL`)."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.kube import Space, is_ready, name_of, run, wait_until

STATE = "/var/tmp/laneway-cluster"
"""Where the tool keeps what belongs to its nodes."""


def tool() -> Path:
    """The tool that made the cluster; skips the test on one whose nodes cannot be hurt from here."""
    named = os.environ.get("CLUSTER_TOOL")  # noqa: TID251 - the tests' own variable
    if named is None:
        pytest.skip("CLUSTER_TOOL names no tool that made this cluster and can hurt its nodes")
    return Path(named)


def recycle_volumes() -> None:
    """Empty the volumes that nobody has any more: the tool has few, and makes no new ones.

    Other clusters are left alone; theirs come as they are asked for.
    """
    if "CLUSTER_TOOL" not in os.environ:  # noqa: TID251 - the tests' own variable
        return
    volumes = json.loads(run("kubectl", "get", "persistentvolumes", "--output", "json"))["items"]
    for volume in volumes:
        if volume["status"]["phase"] == "Released":
            for content in Path(volume["spec"]["local"]["path"]).iterdir():
                shutil.rmtree(content) if content.is_dir() else content.unlink()
            forget = '[{"op": "remove", "path": "/spec/claimRef"}]'
            patch = ["--type", "json", "--patch", forget]
            run("kubectl", "patch", "persistentvolume", name_of(volume), *patch)


def kill_container(pod: dict[str, Any]) -> None:
    """SIGKILL to process 1 of a pod, from outside, as nobody inside can."""
    _tell_container(pod, "kill", "-s", "SIGKILL")


@contextmanager
def frozen(pod: dict[str, Any]) -> Iterator[None]:
    """All processes of a pod stand still meanwhile."""
    _tell_container(pod, "pause")
    try:
        yield
    finally:
        _tell_container(pod, "resume")


def _tell_container(pod: dict[str, Any], *words: str) -> None:
    tool()
    number = number_of(pod["spec"]["nodeName"])
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    socket = f"{STATE}/node-{number}/containerd.sock"
    run("ctr", "--address", socket, "-n", "k8s.io", "tasks", *words, container)


def number_of(node: str) -> str:
    """The tool's number of a node."""
    return re.sub(r"\D", "", node)


def power_off(node: str) -> None:
    """The node's power is gone, and the network with it."""
    run(tool(), "node-down", number_of(node))


def power_on(node: str) -> None:
    """It boots again."""
    run(tool(), "node-up", number_of(node))
    ready(node)


def cut_off(node: str) -> None:
    """Nobody reaches the node, and it reaches nobody; everything on it runs on."""
    run(tool(), "partition", number_of(node), "on")


def heal(node: str) -> None:
    """It is reached again."""
    run(tool(), "partition", number_of(node), "off")
    ready(node)


def ready(node: str) -> None:
    """Wait until a node takes pods."""

    def ask() -> bool:
        told = json.loads(run("kubectl", "get", "node", node, "--output", "json"))
        return is_ready(told) and not told["spec"].get("taints")

    wait_until(f"{node} is ready", ask, 180)


def on(space: Space, node: str, selector: str) -> list[str]:
    """Names of the serving pods of a node."""
    pods = space.ready_pods(selector)
    return [name_of(pod) for pod in pods if pod["spec"]["nodeName"] == node]
