"""A real worker for a test: `laneway worker` as a process of its own, ended by its pid."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from laneway.services.local.processes import free_port

TASKS_FOLDER = Path(__file__).with_name("task_modules")
WAIT_S = 30.0


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = WAIT_S) -> Any:
    """The first true answer of `condition`; fails naming `what` when there is none in time."""
    deadline_s = time.monotonic() + limit_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline_s:
            raise AssertionError(f"waited {limit_s:.0f} s in vain for {what}")
        time.sleep(0.05)


class RunningWorker:
    """One worker process, its log and its metrics."""

    def __init__(
        self, queue: str, folder: Path, settings: dict[str, str], log_file: Path | None = None
    ) -> None:
        self.queue = queue
        self.port = free_port()
        self.log_file = log_file or folder / f"worker-{queue}-{self.port}.log"
        environment = {
            **os.environ,  # noqa: TID251 - handed on
            "PYTHONPATH": str(TASKS_FOLDER),
            "LANEWAY_HEALTH_BIND": f"127.0.0.1:{self.port}",
            **settings,
        }
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "laneway.services.cli.main", "worker", "--queue", queue],
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of a path of the health port; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self) -> "RunningWorker":
        def ready() -> bool:
            assert self.process.poll() is None, self.log()
            return self.get("/readyz")[0] == 200

        wait_for(ready, f"the worker of {self.queue}")
        return self

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The JSON log lines of one event."""
        found = (json.loads(line) for line in self.log().splitlines() if line.startswith("{"))
        return [line for line in found if line.get("event") == event]

    def attempts(self, task_id: str | None = None) -> list[dict[str, Any]]:
        """The canonical lines of ended attempts."""
        return [a for a in self.lines("attempt") if task_id in (None, a["task_id"])]

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        _, text = self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def pool_processes(self) -> list[int]:
        """The pids of its pool."""
        pid = self.process.pid
        return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))

    def terminate(self) -> None:
        """SIGTERM to the worker alone, as Kubernetes does."""
        self.process.send_signal(signal.SIGTERM)

    def wait_until_ended(self, limit_s: float = WAIT_S) -> int:
        return self.process.wait(limit_s)

    def stop(self) -> int:
        """Drain it; its exit code."""
        self.terminate()
        return self.wait_until_ended()

    def kill(self) -> None:
        """SIGKILL; its pool processes die with it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)


@contextmanager
def started_worker(
    queue: str, folder: Path, broker_url: str, log_file: Path | None = None, **settings: str
) -> Iterator[RunningWorker]:
    """A worker that is not ready yet; the arguments are those of `running_worker`."""
    given = {
        "broker_url": broker_url,
        "result_url": broker_url.removesuffix("/0") + "/1",
        "task_modules": "lane_tasks",
        **settings,
    }
    named = {f"LANEWAY_{name.upper()}": value for name, value in given.items()}
    worker = RunningWorker(queue, folder, named, log_file)
    try:
        yield worker
    finally:
        worker.kill()


@contextmanager
def running_worker(
    queue: str, folder: Path, broker_url: str, **settings: str
) -> Iterator[RunningWorker]:
    """A ready worker of `queue` with the task modules of the tests.

    Args:
        queue: its lane.
        folder: where its log goes.
        broker_url: Redis; results go to its database 1.
        settings: further LANEWAY_ settings, lower case, without the prefix.
    """
    with started_worker(queue, folder, broker_url, **settings) as worker:
        yield worker.wait_until_ready()
