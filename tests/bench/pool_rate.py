"""How fast Celery's own worker drains no-ops, with Laneway's pools and with Celery's.

Everything but the pool is Celery's and kombu's: this measures the pool alone. Run it from the
repository: `PYTHONPATH=tests python -m bench.pool_rate [count] [rounds]`.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import redis
from celery import Celery

from laneway.services.worker.pool import (
    CeleryProcessPool,
    CeleryThreadPool,
    ProcessPool,
    ThreadPool,
)
from redis_server import running_redis

POOLS = {
    f"{pool.__module__}:{pool.__qualname__}": name
    for pool, name in (
        (ProcessPool, "processes, Laneway's"),
        (CeleryProcessPool, "processes, Celery's"),
        (ThreadPool, "threads, Laneway's"),
        (CeleryThreadPool, "threads, Celery's"),
    )
}
CONCURRENCY = 2
PREFETCH = 32
LIMIT_S = 120.0


def make_app(url: str, pool: str) -> Celery:
    app = Celery("rate", broker=url, set_as_current=False)
    app.conf.update(
        worker_pool=pool,
        worker_concurrency=CONCURRENCY,
        worker_prefetch_multiplier=PREFETCH,
        task_acks_late=True,
        task_ignore_result=True,
        broker_connection_retry_on_startup=True,
    )
    app.task(name="rate.nothing")(_nothing)
    return app


def _nothing() -> None:
    return None


def work(url: str, pool: str) -> None:
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel=ERROR"]
    make_app(url, pool).worker_main(["worker", *quiet])


def drained(url: str, pool: str, count: int) -> tuple[float, float]:
    """Tasks a second, and microseconds of the worker's CPU for each, parent and children.

    From the first task that is seen taken to the last that is acknowledged.
    """
    app = make_app(url, pool)
    with redis.Redis.from_url(url) as client:
        client.flushall()
        with app.producer_or_acquire() as producer:
            for _ in range(count):
                app.send_task("rate.nothing", producer=producer)
        command = [sys.executable, "-m", "bench.pool_rate", "work", url, pool]
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline_s = time.monotonic() + LIMIT_S
            begun = None
            while (left := client.llen("celery") + client.hlen("unacked")) > 0:
                if begun is None and left < count:
                    begun = time.monotonic(), cpu_s(worker.pid), left
                if time.monotonic() > deadline_s:
                    raise TimeoutError(f"{pool}: {left} of {count} left after {LIMIT_S:.0f} s")
                time.sleep(0.01)
            assert begun is not None, "all was done before anybody looked: take more tasks"
            began_s, used_s, done = begun
            per_s = done / (time.monotonic() - began_s)
            return per_s, (cpu_s(worker.pid) - used_s) / done * 1e6
        finally:
            worker.terminate()
            worker.wait(30)


def cpu_s(pid: int) -> float:
    """Processor time that a process and its children have used."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for each in (pid, *children):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def middle(found: list[float]) -> str:
    return f"{statistics.median(found):.0f} ({min(found):.0f}-{max(found):.0f})"


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["work"]:
        sys.argv = sys.argv[:1]
        work(*arguments[1:])
        return
    count, rounds = int((arguments or ["5000"])[0]), int((arguments[1:] or ["3"])[0])
    runs: dict[str, list[tuple[float, float]]] = {pool: [] for pool in POOLS}
    with tempfile.TemporaryDirectory() as folder, running_redis(Path(folder) / "redis") as server:
        for _ in range(rounds):
            for pool in POOLS:
                runs[pool].append(drained(server.url, pool, count))
    print("| pool | tasks/s | CPU, us a task |\n|---|---|---|")
    for pool, name in POOLS.items():
        per_s, cpu_us = zip(*runs[pool], strict=True)
        print(f"| {name} | {middle([*per_s])} | {middle([*cpu_us])} |")


if __name__ == "__main__":
    main()
