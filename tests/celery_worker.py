"""`celery worker` for a test, as somebody runs it who has an app of his own; ended by its pid."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from celery import Celery

from lesson_harness import forget_results
from worker_harness import TASKS_FOLDER, wait_for


class CeleryWorker:
    """A worker of the app in one of the task modules, on lanes parted by commas."""

    def __init__(
        self, app: str, folder: Path, lanes: str, environment: Mapping[str, str], *options: str
    ) -> None:
        self.log_file = folder / f"celery-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-l", "INFO"]
        command += ["--without-mingle", "--without-gossip"]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "-Q", lanes, "-n", f"{self.log_file.stem}@%h", *options],
                env={
                    **os.environ,  # noqa: TID251 - handed on
                    "PYTHONPATH": str(TASKS_FOLDER),
                    **environment,
                },
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def wait_until_ready(self) -> None:
        def ready() -> bool:
            assert self.process.poll() is None, self.log()
            return " ready." in self.log()

        wait_for(ready, "the worker")

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait(10)


@contextmanager
def ready(worker: CeleryWorker) -> Iterator[CeleryWorker]:
    """The worker, once it is ready; killed in the end."""
    try:
        worker.wait_until_ready()
        yield worker
    finally:
        worker.kill()


@contextmanager
def client_app(made: Celery) -> Iterator[Celery]:
    """An app in use in the test's own process, closed in the end."""
    if str(TASKS_FOLDER) not in sys.path:
        sys.path.append(str(TASKS_FOLDER))
    made.set_default()
    made.loader.import_default_modules()
    yield made
    forget_results(made)
    made.close()
