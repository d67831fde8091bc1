"""Tasks that fail until a file is there, and want their failure kept, or not."""

import time
from pathlib import Path

from celery import shared_task
from celery.exceptions import Reject

from laneway.tasks import task

KEPT = {"dead_letter_on_failure": True}


def _fail_until(cure: str, error: BaseException) -> str:
    if not Path(cure).exists():
        raise error
    return "mended"


@task("dead.kept", **KEPT)
def kept(cure: str) -> str:
    return _fail_until(cure, ValueError("secret of the task"))


@shared_task(name="dead.plain", **KEPT)
def plain(cure: str) -> str:
    return _fail_until(cure, ValueError("no"))


@task("dead.dropped")
def dropped(cure: str) -> str:
    return _fail_until(cure, ValueError("no"))


@task("dead.retried", max_retries=1, autoretry_for=(ConnectionError,), retry_backoff=0.1, **KEPT)
def retried(cure: str) -> str:
    return _fail_until(cure, ConnectionError("no"))


@task("dead.rejected", **KEPT)
def rejected(cure: str) -> str:
    return _fail_until(cure, Reject("no", requeue=False))


@task("dead.slow", time_limit=1, soft_time_limit=None, **KEPT)
def slow(cure: str) -> str:
    if not Path(cure).exists():
        time.sleep(60)
    return "mended"


@task("dead.softly", soft_time_limit=1, time_limit=30, **KEPT)
def softly(cure: str) -> str:
    if not Path(cure).exists():
        time.sleep(60)
    return "mended"


@task("dead.early", acks_late=False, **KEPT)
def early(cure: str) -> str:
    """Acknowledged before it runs: there is nothing left to be kept."""
    return _fail_until(cure, ValueError("no"))
