"""What a start costs: the time of `laneway --help`, and what a worker of mail imports.

Run it from the repository: `PYTHONPATH=tests python -m bench.cold_start`
"""

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from lane_client import lane_client, write_catalogue
from redis_server import running_redis
from worker_harness import started_worker

HELP_RUNS = 5

HEAVY = (
    "laneway.tasks.documents",
    "laneway.tasks.rag",
    "kreuzberg",
    "lancedb",
    "onnxruntime",
    "tokenizers",
    "pyarrow",
    "numpy",
    "fastapi",
)
"""What no worker of mail needs."""

NO_HELP_NEEDS = ("celery", "pydantic", "redis", "fastapi")

_HELP = """
import sys
from laneway.services.cli.main import main
sys.argv = ["laneway", "--help"]
try:
    main()
finally:
    print("\\n".join(sorted(sys.modules)), file=sys.stderr)
"""


@dataclass(frozen=True)
class WorkerStart:
    """How long a worker took until it was ready, and the modules of its pool's process."""

    seconds: float
    modules: list[str]


def help_modules() -> list[str]:
    """What `laneway --help` imports."""
    told = subprocess.run([sys.executable, "-c", _HELP], check=True, capture_output=True, text=True)
    return told.stderr.split()


def help_seconds(runs: int = HELP_RUNS) -> list[float]:
    """How long each of so many runs of `laneway --help` took."""
    command = [sys.executable, "-m", "laneway.services.cli.main", "--help"]
    taken = []
    for _ in range(runs):
        began_s = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - began_s)
    return taken


def start_mail_worker(folder: Path) -> WorkerStart:
    """Start a worker of a lane for mail, and ask it what it has imported."""
    lane = {"tasks": ["notifications.*", "fate.modules"], "concurrency": 1}
    catalogue = write_catalogue(folder, notifications=lane)
    settings = {"queues_file": str(catalogue), "task_modules": "fate_tasks"}
    with (
        running_redis(folder / "redis") as redis,
        lane_client(redis.url, "notifications", catalogue) as client,
    ):
        began_s = time.perf_counter()
        with started_worker("notifications", folder, redis.url, **settings) as worker:
            worker.wait_until_ready()
            seconds = time.perf_counter() - began_s
            asked = client.send("fate.modules")
            client.wait(asked)
            # A pool's process is forked: it holds all that its worker imported, and its own.
            return WorkerStart(seconds, asked.result)


def among(modules: list[str], names: tuple[str, ...]) -> list[str]:
    """Those of `names` that are among the modules, as themselves or by a part of theirs."""
    return [n for n in names if any(m == n or m.startswith(f"{n}.") for m in modules)]


def main() -> None:
    print(f"laneway --help: {statistics.median(help_seconds()):.3f} s, median of {HELP_RUNS}")
    with tempfile.TemporaryDirectory() as folder:
        start = start_mail_worker(Path(folder))
    print(f"worker of mail: ready after {start.seconds:.2f} s, {len(start.modules)} modules")
    print(f"heavy ones among them: {', '.join(among(start.modules, HEAVY)) or 'none'}")


if __name__ == "__main__":
    main()
