"""How near several workers together come to a task's rate limit. It reports and asserts nothing.

    PYTHONPATH=tests python -m bench.rate_limit                  # 5 workers, four rates, two minutes
    PYTHONPATH=tests python -m bench.rate_limit --rates 50/s --workers 2 --seconds 5

All messages lie on the lane before the clock counts: what is measured is how they are let through.
Of each run: the rate between its first and its last task, its distance from the limit, and the
fullest second.
"""

import argparse
import os
import tempfile
import time
from bisect import bisect_left
from contextlib import ExitStack
from pathlib import Path

from celery.utils.time import rate as per_second

from lane_client import lane_client, write_catalogue
from redis_server import running_redis
from worker_harness import running_worker, wait_for

LANE = "rated"
RATES = ("300/m", "20/s", "50/s", "200/s")
LATE_S = 60.0
"""How much longer than it should a run may take before it is given up."""


def measure(folder: Path, rate: str, workers: int, seconds: float) -> list[float]:
    """When the tasks of one run began."""
    wanted = max(2, round(per_second(rate) * seconds))
    mark = folder / "ran"
    os.environ["BENCH_RATE"] = rate  # noqa: TID251 - the workers inherit it
    file = write_catalogue(folder, **{LANE: {"concurrency": 2, "maxLength": 100_000}})
    with ExitStack() as stack:
        server = stack.enter_context(running_redis(folder / "redis", appendonly="yes"))
        client = stack.enter_context(lane_client(server.url, LANE, file))
        for _ in range(wanted):
            client.send_with("bench.rated", {"ignore_result": True}, mark=str(mark))
        settings = {"queues_file": str(file), "task_modules": "rated_tasks"}
        for _ in range(workers):
            stack.enter_context(running_worker(LANE, folder, server.url, **settings))
        wait_for(lambda: _count(mark) >= wanted, "the last task", seconds + LATE_S)
    return sorted(map(float, mark.read_text().split()))


def _count(mark: Path) -> int:
    return mark.read_bytes().count(b"\n") if mark.exists() else 0


def fullest_second(began: list[float]) -> int:
    """The most tasks that began within any one second."""
    return max(bisect_left(began, at_s + 1.0) - n for n, at_s in enumerate(began))


def report(rate: str, workers: int, began: list[float]) -> str:
    """One line of the table."""
    wanted_per_s = per_second(rate)
    found_per_s = (len(began) - 1) / (began[-1] - began[0])
    off_percent = 100 * (found_per_s / wanted_per_s - 1)
    # All have come up only when the last worker has: the rate from then on is told as well.
    later = [at_s for at_s in began if at_s >= began[0] + (began[-1] - began[0]) / 2]
    later_per_s = (len(later) - 1) / (later[-1] - later[0])
    later_percent = 100 * (later_per_s / wanted_per_s - 1)
    return (
        f"{rate:>8} {workers:>8} {len(began):>6} {found_per_s:>9.2f} {off_percent:>+8.2f} "
        f"{later_percent:>+12.2f} {fullest_second(began):>8}"
    )


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", nargs="+", default=RATES)
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print("    rate  workers  tasks  per s    off, %  2nd half, %  fullest")
    for rate in given.rates:
        with tempfile.TemporaryDirectory(prefix="rate-") as folder:
            print(
                report(
                    rate, given.workers, measure(Path(folder), rate, given.workers, given.seconds)
                )
            )
            time.sleep(0.1)


if __name__ == "__main__":
    main()
