"""Stock Celery workers and Laneway's on one lane, under load. It reports and asserts nothing.

    PYTHONPATH=tests python -m bench.mixed_fleet                 # three runs, a minute or two
    PYTHONPATH=tests python -m bench.mixed_fleet --count 5000 --kills 8

A run publishes numbered tasks while workers of one kind are killed again and again and started
anew; the other kind works on. When the lane is idle, it tells how many tasks never ran, how many ran
more than once, and where the lost ones are: among what stock workers hold, or nowhere.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from lane_client import LaneClient, lane_client, write_catalogue
from laneway.tasks.broker.backlog import read_backlogs
from redis_server import RedisServer, running_redis
from worker_harness import TASKS_FOLDER, RunningWorker, wait_for

LANE = "mixed"
LEASE_S = 5
STOCK_UNACKED = "unacked"
"""Where stock workers of a database keep what they hold, for an hour at least."""

IDLE_S = 2.0


class Fleet:
    """The workers of a run, by kind; those that were killed are replaced."""

    def __init__(self, folder: Path, server: RedisServer, file: Path) -> None:
        self._folder, self._server, self._file = folder, server, file
        self.ours = self.start_ours()
        self.stock = self.start_stock()

    def start_ours(self) -> RunningWorker:
        """A worker of Laneway's."""
        settings = {
            "LANEWAY_BROKER_URL": self._server.url,
            "LANEWAY_RESULT_URL": self._server.url,
            "LANEWAY_QUEUES_FILE": str(self._file),
            "LANEWAY_TASK_MODULES": "user_tasks",
        }
        return RunningWorker(LANE, self._folder, settings).wait_until_ready()

    def start_stock(self) -> subprocess.Popen[bytes]:
        """`celery worker` on kombu's own transport, with late acknowledgements."""
        log_file = self._folder / f"stock-{time.monotonic_ns()}.log"
        environment = {
            **os.environ,  # noqa: TID251 - handed on
            "PYTHONPATH": str(TASKS_FOLDER),
            "PLAIN_BROKER_URL": self._server.url,
        }
        command = [sys.executable, "-m", "celery", "-A", "plain_app", "worker", "-Q", LANE]
        options = ["-c", "2", "-l", "INFO", "--without-mingle", "--without-gossip"]
        with log_file.open("wb") as log:
            worker = subprocess.Popen(
                [*command, *options, "-n", f"{log_file.stem}@%h"],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(lambda: " ready." in log_file.read_text(errors="replace"), "a stock worker")
        return worker

    def kill_ours(self) -> None:
        """SIGKILL, and another in its place."""
        self.ours.kill()
        self.ours = self.start_ours()

    def kill_stock(self) -> None:
        """SIGKILL to it and its processes, and another in its place."""
        os.killpg(self.stock.pid, 9)
        self.stock.wait(10)
        self.stock = self.start_stock()

    def end(self) -> None:
        """End both."""
        self.ours.kill()
        if self.stock.poll() is None:
            os.killpg(self.stock.pid, 9)
            self.stock.wait(10)


def ran(mark: Path) -> Counter[int]:
    """How often each task ran."""
    return Counter(map(int, mark.read_text().split())) if mark.exists() else Counter()


def wait_until_idle(server: RedisServer, mark: Path) -> None:
    """Until nothing is ready or held by us, and nothing has run for a while."""
    before = -1
    with server.client() as client:
        while True:
            time.sleep(IDLE_S)
            done = sum(ran(mark).values())
            if read_backlogs(client, [LANE])[LANE].waiting == 0 and done == before:
                return
            before = done


def measure(folder: Path, count: int, kills: int, victim: str) -> str:
    """One run, as a line of the table."""
    file = write_catalogue(folder, **{LANE: {"concurrency": 2, "leaseSeconds": LEASE_S}})
    mark = folder / "ran"
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(folder / "redis", appendonly="yes"))
        client = stack.enter_context(lane_client(server.url, LANE, file))
        fleet = Fleet(folder, server, file)
        stack.callback(fleet.end)
        kill = {"none": _nobody, "laneway": fleet.kill_ours, "stock": fleet.kill_stock}[victim]
        for number in range(kills):
            publish(client, mark, range(count * number // kills, count * (number + 1) // kills))
            wait_for(lambda: sum(ran(mark).values()) > count * number / kills, "some tasks")  # noqa: B023
            kill()
        wait_until_idle(server, mark)
        with server.client() as connected:
            held = connected.hlen(STOCK_UNACKED)
    found = ran(mark)
    never = count - len(found)
    twice = sum(runs > 1 for runs in found.values())
    return f"{victim:>8} {kills:>6} {count:>6} {never:>10} {held:>14} {never - held:>8} {twice:>10}"


def publish(client: LaneClient, mark: Path, numbers: range) -> None:
    """One task for each number."""
    options = {"ignore_result": True}
    for number in numbers:
        task = client.app.signature("user.note", args=(number,), kwargs={"mark": str(mark)})
        task.apply_async(queue=LANE, **options)


def _nobody() -> None:
    """No worker is killed."""


_RUNS: dict[str, Callable[[int], int]] = {
    "none": lambda _: 1,
    "laneway": lambda kills: kills,
    "stock": lambda kills: kills,
}


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=4_000)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--only", nargs="+", default=list(_RUNS))
    given = parser.parse_args()
    print("  killed  times  tasks  never ran  held by stock  nowhere  ran twice")
    for victim in given.only:
        with tempfile.TemporaryDirectory(prefix="mixed-") as folder:
            kills = _RUNS[victim](given.kills)
            print(measure(Path(folder), given.count, kills, victim), flush=True)


if __name__ == "__main__":
    main()
