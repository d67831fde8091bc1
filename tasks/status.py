"""What became of a task, and calling it off."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

from celery.result import AsyncResult

from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.client import broker_client, broker_url, reaching
from laneway.tasks.broker.revocations import remember
from laneway.tasks.broker.submissions import read_record
from laneway.tasks.brokers import connection_of
from laneway.tasks.errors import BrokerUnavailable

FINAL_STATES = frozenset({"SUCCESS", "FAILURE", "REVOKED", "REJECTED"})


@dataclass(frozen=True)
class TaskStatus:
    """One task's state. `progress` is the meta of a custom state; queue and task may be unknown."""

    task_id: str
    state: str
    queue: str | None = None
    task: str | None = None
    owner: str | None = None
    progress: dict[str, Any] | None = None
    result: Any = None
    error: str | None = None

    @property
    def known(self) -> bool:
        """False for an id that no door of ours accepted and no worker has touched."""
        return self.queue is not None or self.state != "PENDING"

    @property
    def final(self) -> bool:
        """Whether the state will not change any more."""
        return self.state in FINAL_STATES


def read_status(app: LanewayApp, task_id: str) -> TaskStatus:
    """The state of a task, its progress, and its result or error once it has ended.

    Raises:
        BrokerUnavailable: Redis cannot be reached.
    """
    settings = app.settings
    with reaching(settings.broker):
        noted = read_record(broker_client(settings), task_id)
    with reaching(settings.results):
        meta = app.backend._get_task_meta_for(task_id)  # noqa: SLF001 - the public one retries for minutes
    return status_of(task_id, meta, noted)


def status_of(task_id: str, meta: dict[str, Any], noted: dict[str, str]) -> TaskStatus:
    """Put together what the result store and the door's record say."""
    status = TaskStatus(
        task_id,
        state=str(meta["status"]),
        queue=noted.get("queue"),
        task=noted.get("task"),
        owner=noted.get("owner") or None,
    )
    result = meta.get("result")
    if status.state == "SUCCESS":
        return replace(status, result=result)
    if isinstance(result, BaseException):
        return replace(status, error=f"{type(result).__name__}: {result}")
    if status.state == "STARTED" or not isinstance(result, dict):
        return status  # Celery's own note of who runs it is no progress
    return replace(status, progress=result)


def revoke(
    app: LanewayApp,
    task_id: str,
    *,
    terminate: bool = False,
    around: Callable[[str | None], AbstractContextManager[None]] = lambda _: nullcontext(),
) -> None:
    """Call a task off: workers drop it when it comes up, and with `terminate` end it if it runs.

    Every broker of the catalogue is told, since a worker asks its own alone, and a task may come up
    on another lane than it was sent to.

    Args:
        app: who calls it off.
        task_id: of the task.
        terminate: whether it is ended if it runs.
        around: entered, with a broker's name, around what is said to that one.

    Raises:
        BrokerUnavailable: a broker cannot be reached; the workers of the others were told.
    """
    away: list[BrokerUnavailable] = []
    for broker in app.catalogue.brokers:
        try:
            with around(broker), reaching(broker_url(app.settings, broker)):
                remember(broker_client(app.settings, broker), task_id)
                with connection_of(app, broker) as connection:
                    AsyncResult(task_id, app=app).revoke(connection, terminate=terminate)
        except BrokerUnavailable as error:
            away.append(error)
    if away:
        raise away[0]
