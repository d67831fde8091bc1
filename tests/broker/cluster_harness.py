"""A Redis Cluster of three primaries as real processes on loopback."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from laneway.services.local.processes import free_port
from redis_server import RedisServer
from worker_harness import wait_for

SLOTS = 16_384
BUS = 10_000
"""A node's port for the others is so much above its own."""


class Cluster:
    """What runs, and who has which lane."""

    def __init__(self, nodes: list[RedisServer]) -> None:
        self.nodes = nodes
        places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        self.url = f"redis+cluster://{places}"

    def lane_of(self, at: int) -> str:
        """A lane that the node at this place has."""
        share = SLOTS // len(self.nodes)
        return next(
            name
            for name in (f"lane-{number}" for number in range(1_000))
            if min(key_slot(name.encode()) // share, len(self.nodes) - 1) == at
        )

    def move(self, lane: str, from_: int, to: int) -> None:
        """Move a lane's slot with all that is in it, as an operator does."""
        slot = key_slot(lane.encode())
        source, target = self.nodes[from_], self.nodes[to]
        with plain(source) as old, plain(target) as new:
            old_id, new_id = node_id(old), node_id(new)
            new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", old_id)
            old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", new_id)
            while found := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
                old.execute_command(
                    "MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *found
                )
            for client in (new, old):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id)
        for node in self.nodes:
            with plain(node) as client, suppress(RedisError):
                client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", new_id)


def plain(node: RedisServer) -> Any:
    """A client of one node alone."""
    return redis.Redis(port=node.port)


def node_id(client: Any) -> str:
    return client.execute_command("CLUSTER", "MYID").decode()


@contextmanager
def running_cluster(folder: Path, size: int = 3) -> Iterator[Cluster]:
    with ExitStack() as stack:
        nodes = [stack.enter_context(_node(folder / f"node-{n}")) for n in range(size)]
        first, *others = nodes
        share = SLOTS // size
        for at, node in enumerate(nodes):
            end = SLOTS if node is nodes[-1] else (at + 1) * share
            with plain(node) as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(at * share, end))
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        with plain(first) as client:
            for node in others:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        wait_for(lambda: all(_whole(node, size) for node in nodes), "a cluster that is whole")
        yield Cluster(nodes)


def _whole(node: RedisServer, size: int) -> bool:
    with plain(node) as client:
        state = client.execute_command("CLUSTER", "INFO")
        slots = client.execute_command("CLUSTER", "SLOTS")
    found = state if isinstance(state, dict) else _fields(state)
    return found["cluster_state"] == "ok" and len({slot[2][1] for slot in slots}) == size


def _fields(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode().split())
    return {name: value for name, _, value in lines}


@contextmanager
def _node(folder: Path) -> Iterator[RedisServer]:
    folder.mkdir(parents=True)
    options = {
        "cluster-enabled": "yes",
        "cluster-node-timeout": "2000",
        "cluster-require-full-coverage": "no",
        "appendonly": "yes",
    }
    # Its nodes come to each other as the default user.
    node = RedisServer(folder, guarded=False, **options)
    node.port = _port()
    node.url = node.admin_url = f"redis://127.0.0.1:{node.port}/0"
    node.start()
    try:
        yield node
    finally:
        node.kill()


def _port() -> int:
    """A free one whose port for the other nodes exists and is free too."""
    while True:
        port = free_port() % (65_535 - BUS)
        if port < 1_024:
            continue
        with suppress(OSError), socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + BUS))
            return port
