"""A primary, its replica and Sentinels as real processes on loopback."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis

from faults.proxy import FaultProxy
from laneway.services.local.processes import free_port
from redis_server import RedisServer, running_redis, server_binary
from worker_harness import wait_for

MASTER = "lanes"
DOWN_AFTER_MS = 700


class SentinelGroup:
    """What runs, and how clients name it."""

    def __init__(
        self, primary: RedisServer, replica: RedisServer, line: FaultProxy, ports: list[int]
    ) -> None:
        self.primary, self.replica, self.line = primary, replica, line
        self._ports = ports
        places = ",".join(f"127.0.0.1:{port}" for port in ports)
        self.url = f"sentinel://{places}/0?master={MASTER}"

    def primary_port(self) -> int | None:
        """Of the one that the Sentinels name; None while they do not agree."""
        named = set()
        for port in self._ports:
            with redis.Redis(port=port, decode_responses=True) as sentinel:
                named.add(int(sentinel.sentinel_get_master_addr_by_name(MASTER)[1]))
        return named.pop() if len(named) == 1 else None

    def wait_for_failover(self) -> None:
        """Until the replica is the primary and Sentinels say so."""

        def promoted() -> bool:
            with self.replica.client() as client:
                is_primary = client.info("replication")["role"] == "master"
            return is_primary and self.primary_port() == self.replica.port

        wait_for(promoted, "the failover")

    def wait_until_watched(self) -> None:
        """Until every Sentinel knows the replica and the other Sentinels."""
        others = len(self._ports) - 1

        def known() -> bool:
            for port in self._ports:
                with redis.Redis(port=port, decode_responses=True) as sentinel:
                    state = sentinel.sentinel_master(MASTER)
                if (state["num-slaves"], state["num-other-sentinels"]) != (1, others):
                    return False
            return True

        wait_for(known, "Sentinels that know each other")


@contextmanager
def sentinel_group(folder: Path, sentinels: int = 3) -> Iterator[SentinelGroup]:
    """Run a group; the replica reads its primary over a line that can be cut."""
    with ExitStack() as stack:
        # Newer servers wait for more replicas before they begin to copy.
        primary, replica = (
            stack.enter_context(running_redis(folder / name, repl_diskless_sync_delay="0"))
            for name in ("primary", "replica")
        )
        line = stack.enter_context(FaultProxy(primary.port))
        with replica.client() as client:
            client.replicaof("127.0.0.1", line.port)
        wait_for(lambda: _follows(replica), "the replica")
        ports = [free_port() for _ in range(sentinels)]
        for port in ports:
            at = folder / f"sentinel-{port}"
            stack.enter_context(_sentinel(at, port, primary.port, sentinels))
        group = SentinelGroup(primary, replica, line, ports)
        group.wait_until_watched()
        yield group


def _follows(replica: RedisServer) -> bool:
    with replica.client() as client:
        return client.info("replication").get("master_link_status") == "up"


@contextmanager
def _sentinel(folder: Path, port: int, primary: int, count: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    config = folder / "sentinel.conf"
    quorum = count // 2 + 1
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {primary} {quorum}\n"
        f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}\n"
        f"sentinel failover-timeout {MASTER} 5000\n"
    )
    process = subprocess.Popen(
        [server_binary(), config, "--sentinel"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with redis.Redis(port=port) as client:
            deadline_s = time.monotonic() + 10
            while time.monotonic() < deadline_s:
                with suppress(redis.exceptions.ConnectionError):
                    client.ping()
                    break
                time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait(10)
