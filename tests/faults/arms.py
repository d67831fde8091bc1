"""The two arms: Laneway as users run it, and stock Celery, careful by its own means.

Both run the same task module from the same environment, each worker in a session of its own and
ended by its own process ids.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml
from celery import Celery

from faults.lane_state import LaneState, LanewayState, StockState
from laneway.tasks.app import create_app
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from task_modules import ledger_app
from worker_harness import TASKS_FOLDER

LANE = "faults"
LEASE_S = ledger_app.LEASE_S
END_LIMIT_S = 10.0


@dataclass(frozen=True)
class LaneFields:
    """How the lane is set in both arms, so far as stock Celery can."""

    concurrency: int = 2
    drain_s: int = 20
    max_deliveries: int = 5


class WorkerProcess:
    """One worker: its parent process, and how to look at it and end it."""

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], log: Path):
        self.name = name
        self.log_file = log
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                command,
                env={**_without_ours(os.environ), **environment},  # noqa: TID251 - handed on
                cwd=log.parent,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def children(self) -> list[int]:
        """The pids of its pool."""
        try:
            threads = list(Path(f"/proc/{self.pid}/task").iterdir())
            told = [(thread / "children").read_text() for thread in threads]
        except OSError:
            return []
        return [int(pid) for line in told for pid in line.split()]

    def signal(self, number: int) -> None:
        """To the parent process alone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to all of it, parent first, as the end of a container is."""
        children = self.children()
        self.signal(signal.SIGKILL)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(END_LIMIT_S)

    def stop(self, limit_s: float) -> int | None:
        """SIGTERM, and its exit code; None if it hangs."""
        self.signal(signal.SIGTERM)
        return self.wait(limit_s)

    def wait(self, limit_s: float) -> int | None:
        """Its exit code; None while it has none."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(limit_s)
        return None

    def last_words(self) -> str:
        """The end of its log."""
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-12:])


class Arm:
    """One of the two. `fields` are the lane's, `folder` takes logs and files."""

    name: ClassVar[str]
    state: ClassVar[LaneState]

    def __init__(self, fields: LaneFields, folder: Path) -> None:
        self.fields = fields
        self.folder = folder
        self._started = 0

    def producer(self, broker_url: str) -> Celery:
        """An app that publishes as the arm's users do."""
        raise NotImplementedError

    def start(self, broker_url: str, ledger_url: str, **environment: str) -> WorkerProcess:
        """Start a worker; it is not ready yet. Further variables go to its environment."""
        self._started += 1
        name = f"{self.name}-{self._started}"
        inherited = os.environ.get("PYTHONPATH", "")  # noqa: TID251 - handed on
        paths = [environment.pop("PYTHONPATH", ""), str(TASKS_FOLDER), inherited]
        given = {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "FAULTS_LEDGER_URL": ledger_url,
            "FAULTS_WORKER": name,
            **environment,
            **self._environment(broker_url),
        }
        return WorkerProcess(name, self._command(), given, self.folder / f"{name}.log")

    def is_ready(self, worker: WorkerProcess) -> bool:
        """Whether it takes messages: Celery's worker, and so Laneway's, then says so."""
        return b" ready." in worker.log_file.read_bytes()

    def wait_until_ready(self, worker: WorkerProcess, limit_s: float = 60.0) -> WorkerProcess:
        """Wait for it; fails with the end of its log."""
        deadline_s = time.monotonic() + limit_s
        while not self.is_ready(worker):
            if not worker.alive or time.monotonic() > deadline_s:
                raise AssertionError(f"{worker.name} is not ready:\n{worker.last_words()}")
            time.sleep(0.05)
        return worker

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self, broker_url: str) -> dict[str, str]:
        raise NotImplementedError


class LanewayArm(Arm):
    """`laneway worker --queue faults`, with a catalogue of its own."""

    name = "laneway"
    state = LanewayState()

    def __init__(self, fields: LaneFields, folder: Path) -> None:
        super().__init__(fields, folder)
        self._catalogue = folder / "queues.yaml"
        lane: dict[str, Any] = {
            "concurrency": fields.concurrency,
            "leaseSeconds": LEASE_S,
            "maxDeliveries": fields.max_deliveries,
            "drainSeconds": fields.drain_s,
            "softTimeLimit": 110,
            "timeLimit": 120,
        }
        self._catalogue.write_text(yaml.safe_dump({"queues": {LANE: lane}}))

    def producer(self, broker_url: str) -> Celery:
        settings = load_settings(broker_url=broker_url, queues_file=self._catalogue)
        return create_app(settings, load_catalogue(self._catalogue))

    def _command(self) -> list[str]:
        return [sys.executable, "-m", "laneway.services.cli.main", "worker", "--queue", LANE]

    def _environment(self, broker_url: str) -> dict[str, str]:
        return {
            "LANEWAY_BROKER_URL": broker_url,
            "LANEWAY_QUEUES_FILE": str(self._catalogue),
            "LANEWAY_TASK_MODULES": "ledger_tasks",
            "LANEWAY_HEALTH_BIND": "127.0.0.1:0",
            "LANEWAY_STORAGE_URL": (self.folder / "storage").as_uri(),
        }


class StockArm(Arm):
    """`celery worker`: late acks, requeue on a lost process, prefetch 1, a short time-out."""

    name = "stock"
    state = StockState()

    def producer(self, broker_url: str) -> Celery:
        return ledger_app.create(broker_url)

    def _command(self) -> list[str]:
        concurrency = str(self.fields.concurrency)
        quiet = ["--without-mingle", "--without-gossip", "--without-heartbeat"]
        return [
            *(sys.executable, "-m", "celery", "-A", "ledger_app", "worker", "-Q", LANE),
            *("-c", concurrency, "-n", f"{self.name}-{self._started}@%h", "-l", "INFO", *quiet),
        ]

    def _environment(self, broker_url: str) -> dict[str, str]:
        return {"FAULTS_BROKER_URL": broker_url}


ARMS: dict[str, type[Arm]] = {arm.name: arm for arm in (LanewayArm, StockArm)}


def _without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """No setting of the person who runs this may change the outcome."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(("LANEWAY_", "OTEL_", "CELERY_"))
    }


def with_fields(**changes: Any) -> LaneFields:
    """The lane's fields with changes."""
    return replace(LaneFields(), **changes)
