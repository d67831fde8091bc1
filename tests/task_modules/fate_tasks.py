"""Further ends a task can meet, and tasks that wait for a test's word."""

import sys
import time
from pathlib import Path
from typing import Any

from celery.exceptions import Reject, SoftTimeLimitExceeded

from laneway.tasks import task


def note(mark: str | None, text: str) -> None:
    """Add a line to the file `mark`; one write, so that processes do not mix theirs."""
    if mark:
        with Path(mark).open("a") as file:
            file.write(f"{text}\n")


@task("fate.hold", bind=True)
def hold(self: Any, release: str, mark: str | None = None) -> str:
    """Runs until the file `release` is there; leaves its id in `mark` when it begins and ends."""
    note(mark, f"begun {self.request.id}")
    while not Path(release).exists():
        time.sleep(0.02)
    note(mark, f"ended {self.request.id}")
    return "released"


@task("fate.short", bind=True)
def short(self: Any, mark: str, seconds: float = 0.005) -> None:
    """Takes a moment, and leaves its id in the file `mark` when it ends."""
    time.sleep(seconds)
    note(mark, self.request.id)


@task("fate.rated", rate_limit="5/s")
def rated() -> None:
    """Five a second, on all workers together."""


@task("fate.chained", bind=True)
def chained(self: Any) -> None:
    """Publishes another task from where it runs."""
    self.app.send_task(
        "lane.add", kwargs={"x": 1, "y": 2}, queue=self.request.delivery_info["routing_key"]
    )


@task("fate.soft_handled", soft_time_limit=1, time_limit=30)
def soft_handled() -> str:
    try:
        time.sleep(60)
    except SoftTimeLimitExceeded:
        return "partial"
    return "unreachable"


def _note_failure(
    _task: Any, _error: Exception, _id: str, _args: Any, kwargs: dict[str, Any], _info: Any
) -> None:
    note(kwargs["mark"], "on_failure")


@task("fate.hard_limit", time_limit=1, on_failure=_note_failure)
def hard_limit(mark: str) -> None:
    """Killed at its limit; its own `on_failure` leaves a line in the file `mark`."""
    del mark
    time.sleep(60)


@task("fate.write")
def write(mark: str, text: str) -> None:
    note(mark, text)


@task("fate.leave")
def leave(mark: str | None = None) -> str:
    """Ends its process with `sys.exit`; with a `mark`, the first time only."""
    if mark and Path(mark).exists():
        return "stayed"
    note(mark, "left")
    sys.exit(3)


@task("fate.requeue")
def requeue(mark: str) -> str:
    """Gives its message back, the first time."""
    if Path(mark).exists():
        return "kept"
    note(mark, "given back")
    raise Reject("not now", requeue=True)


def _leak(_task: Any, _error: Exception, _id: str, _args: Any, kwargs: Any, _info: Any) -> None:
    """A hook that fails with what it was given in its message."""
    if kwargs.get("way") == "hook":
        raise RuntimeError(kwargs["text"])


@task("fate.secret", bind=True, max_retries=1, on_failure=_leak)
def secret(self: Any, text: str, way: str = "return") -> str:
    """Handles `text` in every way that could leak it."""
    self.update_state(state="WORKING", meta={"text": text})
    if way == "retry" and self.request.retries == 0:
        raise self.retry(countdown=0, exc=ConnectionError(text))
    if way in ("raise", "hook"):
        raise ValueError(text)
    if way == "reject":
        raise Reject(text, requeue=False)
    if way == "exhaust":
        raise MemoryError(text)
    return text


@task("fate.modules")
def modules() -> list[str]:
    """What this process has imported."""
    return sorted(sys.modules)
