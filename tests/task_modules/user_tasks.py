"""Tasks of a Celery user who knows the manual: canvas, retries, signals, in Celery's own words."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import chord, group, shared_task, signals
from celery.exceptions import Ignore, Reject


def note(mark: str | None, text: str) -> None:
    """Add a line to the file `mark`; one write, so that processes do not mix theirs."""
    if mark:
        with Path(mark).open("a") as file:
            file.write(f"{text}\n")


@shared_task(name="user.add")
def add(x: float, y: float) -> float:
    return x + y


@shared_task(name="user.total")
def total(numbers: list[Any]) -> float:
    return sum(total(n) if isinstance(n, list) else n for n in numbers)


@shared_task(name="user.double")
def double(x: float) -> float:
    return 2 * x


@shared_task(name="user.fail")
def fail(*_args: Any, message: str = "no") -> None:
    raise ValueError(message)


@shared_task(name="user.note")
def write(*args: Any, mark: str) -> Any:
    """Leaves its arguments in the file `mark`, and returns the first."""
    note(mark, " ".join(map(str, args)))
    return args[0] if args else None


@shared_task(name="user.note_total")
def note_total(numbers: list[float], mark: str) -> float:
    """A chord's body that leaves a line in the file `mark` each time it runs."""
    note(mark, f"total {sum(numbers)}")
    return sum(numbers)


@shared_task(name="user.note_error")
def note_error(request: Any, error: Any, _traceback: Any, mark: str) -> None:
    """An errback of the new style: leaves who failed, and of what, in the file `mark`."""
    note(mark, f"{getattr(request, 'id', request)} {type(error).__name__}")


@shared_task(name="user.hold", bind=True)
def hold(self: Any, release: str, mark: str | None = None) -> str:
    """Runs until the file `release` is there; leaves its id in `mark` when it begins."""
    note(mark, self.request.id)
    while not Path(release).exists():
        time.sleep(0.02)
    return "released"


@shared_task(name="user.now_s", bind=True)
def now_s(self: Any, mark: str | None = None) -> float:
    """When it ran, seconds since the epoch."""
    note(mark, self.request.id)
    return time.time()


def _die_once(_task: Any, _value: Any, _id: str, _args: Any, kwargs: dict[str, Any]) -> None:
    if len(Path(kwargs["mark"]).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="user.die_after_result", bind=True, on_success=_die_once)
def die_after_result(self: Any, x: float, mark: str) -> float:
    """Its process is killed the first time, when its result is stored but not acknowledged yet."""
    note(mark, self.request.id)
    return x


@shared_task(name="user.die_once", bind=True)
def die_once(self: Any, x: float, mark: str) -> float:
    """Its process is killed the first time, while it runs."""
    note(mark, self.request.id)
    _die_once(self, None, "", (), {"mark": mark})
    return x


# Replacement


@shared_task(name="user.replace_with_add", bind=True)
def replace_with_add(self: Any, x: float, y: float) -> Any:
    raise self.replace(add.si(x, y))


@shared_task(name="user.replace_with_group", bind=True)
def replace_with_group(self: Any, numbers: list[float]) -> Any:
    raise self.replace(group(double.si(n) for n in numbers))


@shared_task(name="user.replace_with_chord", bind=True)
def replace_with_chord(self: Any, numbers: list[float]) -> Any:
    raise self.replace(chord([double.si(n) for n in numbers], total.s()))


# Retries

SOON_S = 0.3
"""Celery stores the state RETRY after it has published the next try: at once, that may be faster."""


@shared_task(
    name="user.autoretry",
    bind=True,
    autoretry_for=(OSError,),
    dont_autoretry_for=(FileNotFoundError,),
    max_retries=2,
    default_retry_delay=SOON_S,
)
def autoretry(self: Any, kind: str, succeed_at: int = 99) -> int:
    """Raises `kind` until it has been tried `succeed_at` times before."""
    if self.request.retries >= succeed_at:
        return int(self.request.retries)
    raise {"oserror": OSError, "missing": FileNotFoundError, "value": ValueError}[kind]("no")


@shared_task(name="user.retry_without_cause", bind=True, max_retries=1, default_retry_delay=SOON_S)
def retry_without_cause(self: Any) -> None:
    raise self.retry()


@shared_task(name="user.retry_other", bind=True, max_retries=1)
def retry_other(self: Any, x: int, queue: str | None = None) -> dict[str, Any]:
    """Asks for another run with other arguments, maybe on another lane."""
    if self.request.retries == 0:
        options = {"queue": queue} if queue else {}
        raise self.retry(args=(x + 1,), kwargs={}, countdown=0, **options)
    info = self.request.delivery_info
    return {"x": x, "queue": info["routing_key"], "id": self.request.id}


@shared_task(name="user.retry_quietly", bind=True, max_retries=1)
def retry_quietly(self: Any, mark: str) -> str:
    """Publishes its next try, and goes on."""
    note(mark, str(self.request.retries))
    if self.request.retries == 0:
        self.retry(countdown=0.5, throw=False)
    return f"try {self.request.retries}"


# Results


@shared_task(name="user.family", bind=True)
def family(self: Any) -> str:
    """Starts another task, its child."""
    del self
    return str(add.delay(1, 2).id)


@shared_task(name="user.custom_state", bind=True)
def custom_state(self: Any) -> None:
    """Ends in a state of its own."""
    self.update_state(state="ARCHIVED", meta={"shelf": 7})
    raise Ignore


@shared_task(name="user.ignored", ignore_result=True)
def ignored(mark: str) -> str:
    note(mark, "ran")
    return "never stored"


@shared_task(name="user.limited")
def limited(mark: str) -> None:
    note(mark, f"{time.time():.3f}")


# Signals

ON_REQUEST = ("task_received", "task_revoked", "task_retry")
ON_TASK = ("task_prerun", "task_postrun", "task_failure", "task_unknown", "task_success")
ON_WORKER = (
    "task_rejected",
    "worker_init",
    "worker_ready",
    "worker_shutting_down",
    "worker_shutdown",
    "worker_process_init",
    "worker_process_shutdown",
)


def listen(mark: str) -> None:
    """Leave a line in the file `mark` for each signal, in whichever process it comes."""

    def listen_to(name: str, whose: Callable[[dict[str, Any]], Any]) -> None:
        def receiver(**given: Any) -> None:
            note(mark, f"{name} {whose(given)} {os.getpid()}")

        getattr(signals, name).connect(receiver, weak=False)

    for name in ON_REQUEST:
        listen_to(name, lambda given: given["request"].id)
    for name in ON_TASK:
        listen_to(name, _id_of)
    for name in ON_WORKER:
        listen_to(name, lambda _: "-")


def _id_of(given: dict[str, Any]) -> Any:
    return given.get("task_id") or given.get("id") or given["sender"].request.id


if "USER_TASKS_SIGNALS" in os.environ:  # noqa: TID251 - the tests' own variable
    listen(os.environ["USER_TASKS_SIGNALS"])  # noqa: TID251


@shared_task(name="user.send_back", bind=True, acks_late=True)
def send_back(self: Any, *, for_good: bool = False) -> str:
    """As Celery's manual shows `Reject`: back to the lane once, or each time."""
    if for_good or not self.request.delivery_info["redelivered"]:
        raise Reject("not now", requeue=True)
    return "received two times"
