"""Tasks with each of Celery's options, in Celery's own words: nothing here is Laneway's."""

import time
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

HOUR_S = 3_600


@shared_task(
    name="lesson.process_document",
    bind=True,
    max_retries=3,
    default_retry_delay=60,
    autoretry_for=(ConnectionError,),
    retry_backoff=True,
    rate_limit="600/m",
    time_limit=300,
    soft_time_limit=240,
    ignore_result=False,
    acks_late=True,
    track_started=True,
)
def process_document(self: Any, file_path: str, priority: str = "normal") -> dict[str, Any]:
    """Every option of the table at once."""
    self.update_state(state="PROCESSING", meta={"step": "extracting", "file": file_path})
    return {"id": self.request.id, "file_path": file_path, "priority": priority}


@shared_task
def unnamed(x: int) -> int:
    return x + 1


@shared_task(name="lesson.see", bind=True)
def see(self: Any, *_args: Any, **_kwargs: Any) -> dict[str, Any]:
    """What a task sees of its request."""
    request = self.request
    return {
        "id": request.id,
        "args": list(request.args or ()),
        "kwargs": dict(request.kwargs or {}),
        "retries": request.retries,
        "eta": request.eta,
        "expires": request.expires,
        "origin": request.origin,
        "queue": request.delivery_info.get("routing_key"),
        "headers": {k: v for k, v in (request.headers or {}).items() if "laneway" in k},
    }


@shared_task(name="lesson.work", bind=True)
def work(self: Any, release: str) -> str:
    """Reports half-way, then runs until the file `release` is there."""
    Path(f"{release}.begun").touch()
    _hold(release + ".half")
    self.update_state(state="PROCESSING", meta={"progress": 50})
    _hold(release)
    return "done"


@shared_task(name="lesson.work_untracked", track_started=False)
def work_untracked(release: str) -> str:
    Path(f"{release}.begun").touch()
    _hold(release)
    return "done"


@shared_task(name="lesson.work_acked_early", acks_late=False)
def work_acked_early(release: str) -> str:
    Path(f"{release}.begun").touch()
    _hold(release)
    return "done"


@shared_task(name="lesson.forget", ignore_result=True)
def forget(mark: str) -> str:
    Path(mark).touch()
    return "never stored"


@shared_task(name="lesson.give_up", bind=True, max_retries=2, default_retry_delay=0)
def give_up(self: Any, mark: str) -> None:
    """Fails each time; every try leaves its number in the file `mark`."""
    with Path(mark).open("a") as file:
        file.write(f"{self.request.retries}\n")
    raise self.retry(exc=ConnectionError("still away"))


@shared_task(name="lesson.wait_a_minute", bind=True, default_retry_delay=60)
def wait_a_minute(self: Any) -> None:
    raise self.retry(exc=ConnectionError("away"))


@shared_task(name="lesson.retry_in", bind=True)
def retry_in(self: Any, seconds: float) -> None:
    raise self.retry(exc=ConnectionError("away"), countdown=seconds)


@shared_task(
    name="lesson.back_off",
    autoretry_for=(ConnectionError,),
    retry_backoff=HOUR_S,
    retry_backoff_max=10 * HOUR_S,
    retry_jitter=False,
)
def back_off() -> None:
    raise ConnectionError("away")


@shared_task(
    name="lesson.back_off_capped",
    autoretry_for=(ConnectionError,),
    retry_backoff=HOUR_S,
    retry_backoff_max=90,
    retry_jitter=False,
)
def back_off_capped() -> None:
    raise ConnectionError("away")


@shared_task(
    name="lesson.back_off_jittered",
    autoretry_for=(ConnectionError,),
    retry_backoff=HOUR_S,
    retry_backoff_max=HOUR_S,
    retry_jitter=True,
)
def back_off_jittered() -> None:
    raise ConnectionError("away")


@shared_task(name="lesson.recover", bind=True, autoretry_for=(OSError,), default_retry_delay=0)
def recover(self: Any) -> dict[str, Any]:
    """Fails the first time; then tells how the repeat reached it."""
    headers = {k: v for k, v in (self.request.headers or {}).items() if "laneway" in k}
    if self.request.retries == 0:
        self.update_state(state="PROCESSING", meta=headers)
        raise TimeoutError("once")
    return {"queue": self.request.delivery_info["routing_key"], "headers": headers}


@shared_task(name="lesson.save_part", soft_time_limit=1, time_limit=60)
def save_part() -> dict[str, Any]:
    try:
        time.sleep(50)
    except SoftTimeLimitExceeded:
        return {"status": "timeout", "partial": True}
    return {"status": "indexed"}


@shared_task(name="lesson.limited", rate_limit="1/s")
def limited(mark: str) -> None:
    with Path(mark).open("a") as file:
        file.write(f"{time.time():.3f}\n")


@shared_task(name="lesson.note_failure")
def note_failure(failed_id: str, mark: str) -> None:
    """A link_error of Celery's plain kind: called with the id of the task that failed."""
    with Path(mark).open("a") as file:
        file.write(f"{failed_id}\n")


@shared_task(name="lesson.total")
def total(numbers: list[float]) -> float:
    return sum(numbers)


@shared_task(name="lesson.pass_on", bind=True)
def pass_on(self: Any, x: int) -> str:
    """Publishes a task from within a task, and names no lane for it."""
    return str(self.app.tasks["lesson.see"].delay(x).id)


def _hold(release: str) -> None:
    while not Path(release).exists():
        time.sleep(0.02)
