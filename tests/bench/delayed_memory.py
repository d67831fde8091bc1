"""What a worker's memory does when very many tasks are delayed. It reports and asserts nothing.

    PYTHONPATH=tests python -m bench.delayed_memory              # 100,000 messages, a minute or two
    PYTHONPATH=tests python -m bench.delayed_memory --count 20000

The messages are a stock producer's, with an hour's countdown: such a producer puts them on the lane
itself, and it is the worker that parks them in Redis. A stock worker would hold them in its memory.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from lane_client import write_catalogue
from laneway.tasks.broker.backlog import read_backlogs
from redis_server import RedisServer, running_redis
from worker_harness import RunningWorker, running_worker, wait_for

LANE = "delayed"
STEPS = 5
AT_ONCE = 1_000
STOCK = Path(__file__).resolve().parents[1] / "stock_producer.py"


def template(server: RedisServer) -> tuple[str, str]:
    """A message as stock Celery makes it, and its task's id."""
    order = {"name": "lane.add", "args": [1, 2], "countdown": 3_600, "queue": "template"}
    done = subprocess.run(
        [sys.executable, str(STOCK), server.url, "--no-wait"],
        input=json.dumps([order]),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    with server.client() as client:
        message = client.rpop("template")
    return message, json.loads(done.stdout)[0]["id"]


def messages(server: RedisServer, count: int) -> Iterator[str]:
    """Many of them, each with an id of its own."""
    message, task_id = template(server)
    for _ in range(count):
        yield message.replace(task_id, str(uuid4()))


def resident_mb(pid: int) -> float:
    """Memory that a process holds."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def report(server: RedisServer, worker: RunningWorker, count: int) -> None:
    """One line of the table."""
    with server.client() as client:
        held = read_backlogs(client, [LANE])[LANE]
        redis_mb = client.info("memory")["used_memory"] / 1e6
    children = ", ".join(f"{resident_mb(pid):.1f}" for pid in worker.pool_processes())
    parent_mb = resident_mb(worker.process.pid)
    print(
        f"{count:>8} {held.delayed:>8} {held.in_flight:>9} {parent_mb:>10.1f} {children:>14} "
        f"{redis_mb:>9.1f}",
        flush=True,
    )


def fill(server: RedisServer, worker: RunningWorker, count: int) -> None:
    """Publish in steps, and look when each has been parked."""
    report(server, worker, 0)
    waiting = list(messages(server, count))
    for step in range(1, STEPS + 1):
        published = count * step // STEPS
        part = waiting[count * (step - 1) // STEPS : published]
        with server.client() as client:
            for start in range(0, len(part), AT_ONCE):
                client.lpush(LANE, *part[start : start + AT_ONCE])
            wait_for(
                lambda: read_backlogs(client, [LANE])[LANE].delayed >= published,  # noqa: B023
                f"{published} delayed messages",
                300,
            )
        report(server, worker, published)


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    print("    sent  delayed in flight  worker, MB  children, MB  Redis, MB")
    with tempfile.TemporaryDirectory(prefix="delayed-") as name:
        folder = Path(name)
        file = write_catalogue(folder, **{LANE: {"concurrency": 2}})
        with (
            running_redis(folder / "redis") as server,
            running_worker(LANE, folder, server.url, queues_file=str(file)) as worker,
        ):
            fill(server, worker, given.count)


if __name__ == "__main__":
    main()
