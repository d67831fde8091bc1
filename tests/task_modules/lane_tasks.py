"""Tasks that tests run in real workers: each ends in a way of its own."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import Ignore, Reject

from laneway.tasks import submit, task


@task("lane.add")
def add(x: float, y: float) -> float:
    return x + y


@shared_task(name="lane.plain")
def plain(x: int) -> int:
    """Celery's own decorator, nothing of ours."""
    return x * 2


@task("lane.sleep")
def sleep(seconds: float, mark: str | None = None) -> float:
    """Sleeps, and leaves a line in the file `mark` when it begins and when it ends."""
    _note(mark, "begun")
    time.sleep(seconds)
    _note(mark, "ended")
    return seconds


@task("lane.fail")
def fail(message: str = "no") -> None:
    raise ValueError(message)


@task("lane.retry", bind=True, max_retries=2)
def retry(self: Any, fail_times: int = 1, countdown: float = 0.1) -> int:
    if self.request.retries < fail_times:
        raise self.retry(countdown=countdown, exc=ConnectionError("again"))
    return int(self.request.retries)


@task("lane.kill")
def kill(survive_after: int = 99, mark: str | None = None) -> str:
    """Kills its own process, until the file `mark` holds `survive_after` lines."""
    _note(mark, "begun")
    if mark and len(Path(mark).read_text().splitlines()) > survive_after:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "unreachable"


@task("lane.exhaust")
def exhaust() -> None:
    raise MemoryError("no memory left")


@task("lane.hard_limit", time_limit=1)
def hard_limit() -> None:
    time.sleep(60)


@task("lane.soft_limit", soft_time_limit=1, time_limit=30)
def soft_limit() -> None:
    time.sleep(60)


@task("lane.reject")
def reject() -> None:
    raise Reject("not this one", requeue=False)


@task("lane.ignore")
def ignore() -> None:
    raise Ignore


@task("lane.report", bind=True)
def report(self: Any) -> dict[str, Any]:
    """What a task sees of its request."""
    self.update_state(state="LOOKING", meta={"step": "looking", "done": 1, "total": 2})
    request = self.request
    return {
        "id": request.id,
        "args": list(request.args or ()),
        "kwargs": dict(request.kwargs or {}),
        "retries": request.retries,
        "eta": str(request.eta) if request.eta else None,
        "expires": str(request.expires) if request.expires else None,
        "origin": request.origin,
    }


@task("lane.publish")
def publish(way: str) -> str:
    """Publishes a task without naming a lane; the id of what it published."""
    if way == "submit":
        return submit("lane.add", {"x": 1, "y": 2}).task_id
    return str(add.delay(1, 2).id)


@task("lane.limited", rate_limit="2/s")
def limited(mark: str) -> None:
    _note(mark, f"{time.time():.3f}")


def _note(mark: str | None, text: str) -> None:
    if mark:
        with Path(mark).open("a") as file:
            file.write(f"{text}\n")


@task("lane.log")
def log(text: str) -> None:
    """Logs as any library does."""
    logging.getLogger("team.code").info(text)
