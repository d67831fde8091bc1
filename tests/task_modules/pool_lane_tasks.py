"""Tasks of a lane whose hooks and receivers fail, and that do odd things to their process."""

import os
import time
from typing import Any

from billiard.process import current_process
from celery import shared_task, signals
from celery.exceptions import Reject

from laneway.tasks import task


@signals.worker_process_init.connect
@signals.worker_process_shutdown.connect
def _burst_in_every_process(**_: Any) -> None:
    raise ValueError("no process is fit for us")


@signals.task_prerun.connect
def _burst_before(kwargs: dict[str, Any], **_: Any) -> None:
    if kwargs.get("where") == "prerun":
        raise ValueError("before")


@signals.task_postrun.connect
def _burst_after(kwargs: dict[str, Any], **_: Any) -> None:
    if kwargs.get("where") == "postrun":
        raise ValueError("after")


def _burst_on_success(_task: Any, _result: Any, _id: str, _args: Any, kwargs: Any) -> None:
    if kwargs["where"] == "on_success":
        raise ValueError("on success")


@task("pool.hook", on_success=_burst_on_success)
def hook(where: str) -> str:
    return where


@task("pool.reject_oddly")
def reject_oddly() -> None:
    """Rejects with a reason that cannot be sent to the worker's parent."""
    raise Reject(lambda: None, requeue=False)


@task("pool.give_much")
def give_much(megabytes: int) -> str:
    return "x" * (megabytes << 20)


@task("pool.where")
def where_it_runs() -> list[Any]:
    process = current_process()
    return [process.name, getattr(process, "index", None), os.getpid()]


@task("pool.fork")
def fork() -> str:
    """Goes on in two processes."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return "went on"


@shared_task(name="pool.early", acks_late=False)
def early() -> str:
    """Acknowledged when it begins, as is the default of plain Celery."""
    return "early"


@task("pool.nap")
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
