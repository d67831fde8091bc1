"""submit(): the one door in for our own code. The gateway and the CLI use it too."""

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary

import redis
from kombu.exceptions import OperationalError
from pydantic import BaseModel

from laneway.tasks.app import CELERYS_OWN, LanewayApp, get_app, load_team_modules, runs_on
from laneway.tasks.base import bind_payload
from laneway.tasks.broker.backlog import check_room
from laneway.tasks.broker.client import broker_client, lane_client, reaching, reaching_lane
from laneway.tasks.broker.submissions import (
    Claim,
    Durability,
    claim_key,
    record,
    release_key,
    wait_until_safe,
)
from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.contracts import check_payload
from laneway.tasks.errors import SubmissionError, TaskNotAdmitted, UnknownTask

UNCERTAIN = "Submit the task again: it is not known to be queued. An idempotency key makes it safe."

CLAIM_TIMEOUTS = 6
"""An honest publish takes no longer than so many time-outs of Redis."""


@dataclass(frozen=True)
class TaskRequest:
    """One task to be queued. `countdown_s`, or `eta`, delays it; it expires unrun at `expires`."""

    task: str
    kwargs: Mapping[str, Any]
    queue: str | None = None
    countdown_s: float | None = None
    eta: datetime | None = None
    expires: datetime | float | None = None
    priority: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotency_key: str | None = None
    durability: str = "memory"
    owner: str = ""

    def digest(self, queue: str) -> str:
        """What makes two requests the same: where to, what, and with which payload."""
        delay = [self.countdown_s, str(self.eta), str(self.expires), self.priority]
        content = json.dumps([queue, self.task, dict(self.kwargs), delay], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


@dataclass(frozen=True)
class Submission:
    """An accepted task. `replayed` when an earlier request with the same key was the one."""

    task_id: str
    task: str
    queue: str
    replayed: bool = False
    durability: Durability = field(default_factory=Durability)


def submit(
    task: str,
    kwargs: Mapping[str, Any] | None = None,
    *,
    queue: str | None = None,
    app: LanewayApp | None = None,
    **options: Any,
) -> Submission:
    """Check a task and queue it.

    Args:
        task: its name.
        kwargs: its payload.
        queue: where it is to run; if not given, the task's home queue.
        app: the app to publish with; the process's own if not given.
        options: the further fields of `TaskRequest`.

    Raises:
        SubmissionError: one of its kinds; nothing was queued.
    """
    request = TaskRequest(task, dict(kwargs or {}), queue=queue, **options)
    return submit_request(app or get_app(), request)


def submit_request(app: LanewayApp, request: TaskRequest) -> Submission:
    """Check a request and queue it; see `submit`."""
    queue = check_request(app, request)
    settings = app.settings
    # Keys and records lie with the broker that has no name, so that a door finds them by task id or
    # key alone, whatever lane they lead to.
    client = broker_client(settings)
    with reaching(settings.broker, UNCERTAIN):
        claim = _claim(app, client, request, queue)
        if claim.mine:
            _accept(app, client, request, queue, claim)
    durability = durability_of(app, queue, request.durability)
    return Submission(claim.task_id, request.task, queue, not claim.mine, durability)


def _claim(app: LanewayApp, client: "redis.Redis", request: TaskRequest, queue: str) -> Claim:
    key, task_id = scoped_key(request), str(uuid4())
    if key is None:
        return Claim(task_id, mine=True)
    return claim_key(client, key, request.digest(queue), task_id, claim_limit_s(app))


def claim_limit_s(app: LanewayApp) -> int:
    """After how many seconds an unconfirmed claim belongs to a dead process."""
    return math.ceil(CLAIM_TIMEOUTS * app.settings.broker_timeout_s)


def durability_of(app: LanewayApp, queue: str, requested: str) -> Durability:
    """Wait until what was published to a queue is as safe as requested, and say what was reached.

    The task is queued by now, whatever becomes of the wait.
    """
    client = lane_client(app.settings, app.catalogue[queue])
    try:
        return wait_until_safe(client, requested, app.settings.gateway_wait_ms)
    except (redis.exceptions.RedisError, OSError) as error:
        return Durability(requested, reason=f"the wait was cut off ({type(error).__name__})")


def _accept(
    app: LanewayApp, client: "redis.Redis", request: TaskRequest, queue: str, claim: Claim
) -> None:
    """Publish what was claimed, or let the next caller with the same key try."""
    key = scoped_key(request)
    try:
        check_room_apart(app, queue)
        with reaching_lane(app.settings, app.catalogue[queue], UNCERTAIN):
            _publish(app, request, queue, claim.task_id)
    except (SubmissionError, redis.exceptions.RedisError):
        if key is not None:
            # If Redis is away, the claim lapses by itself.
            with suppress(redis.exceptions.RedisError):
                release_key(client, key)
        raise
    record(client, claim.task_id, noted_fields(request, queue), key)


def noted_fields(request: TaskRequest, queue: str) -> dict[str, str]:
    """What a door notes of an accepted task."""
    return {"queue": queue, "task": request.task, "owner": request.owner}


def check_room_apart(app: LanewayApp, queue: str) -> None:
    """Look for room beforehand where publishing does not: on kombu's own transport.

    Raises:
        LaneFull, BrokerFull: there is none.
    """
    settings, entry = app.settings, app.catalogue[queue]
    if settings.transport != "kombu" or app.lane is not None:
        return
    with reaching_lane(settings, entry) as client:
        check_room(client, queue, entry, settings.broker_memory_watermark)


def check_request(app: LanewayApp, request: TaskRequest) -> str:
    """The queue a request goes to, once task, queue and payload are found to be right.

    Raises:
        UnknownTask, UnknownQueue, TaskNotAdmitted, InvalidPayload: nothing was queued.
    """
    check_known(app, request.task)
    queue = request.queue or app.queue_of(request.task, request.kwargs)
    if not runs_on(app, request.task, app.catalogue[queue]):
        admitting = [n for n, entry in app.catalogue.items() if runs_on(app, request.task, entry)]
        raise TaskNotAdmitted(
            f"Queue {queue!r} does not run {request.task}. Queues that do: "
            f"{', '.join(admitting) or 'none'}. Name one of them, or add the task to "
            f"queues.{queue}.tasks in {app.catalogue.source}."
        )
    check_task_payload(app, request.task, dict(request.kwargs))
    return queue


def check_known(app: LanewayApp, task: str) -> None:
    """Raises UnknownTask, with the list of known ones, for a name nobody defined."""
    known = known_tasks(app)
    if task not in known:
        raise UnknownTask(
            f"There is no task {task!r}. Known tasks: {', '.join(sorted(known))}. A team's own "
            "come from the modules in LANEWAY_TASK_MODULES."
        )


def known_tasks(app: LanewayApp) -> dict[str, type[BaseModel] | None]:
    """Every task name with its contract, if it has one. Imports the team's modules, once an app."""
    if app not in _known:
        _known[app] = _find_tasks(app)
    return _known[app]


_known: "WeakKeyDictionary[LanewayApp, dict[str, type[BaseModel] | None]]" = WeakKeyDictionary()


def _find_tasks(app: LanewayApp) -> dict[str, type[BaseModel] | None]:
    known: dict[str, type[BaseModel] | None] = {
        name: builtin.contract for name, builtin in BUILTIN_TASKS.items()
    }
    if app.settings.task_modules:
        load_team_modules(app)
        own = {name for name in app.tasks if not name.startswith(CELERYS_OWN)}
        known |= {name: getattr(app.tasks[name], "contract", None) for name in own}
    return known


def check_task_payload(app: LanewayApp, task: str, payload: dict[str, Any]) -> None:
    """Raises InvalidPayload unless the task's contract, or else its signature, takes the payload."""
    contract = known_tasks(app)[task]
    if contract is not None:
        check_payload(contract, payload)
    elif task in app.tasks:
        bind_payload(app.tasks[task].run, (), payload)


def scoped_key(request: TaskRequest) -> str | None:
    """The idempotency key as it is stored: two owners may use the same without meeting."""
    if request.idempotency_key is None:
        return None
    text = f"{request.owner}\n{request.idempotency_key}"
    return hashlib.sha256(text.encode()).hexdigest()


def _publish(app: LanewayApp, request: TaskRequest, queue: str, task_id: str) -> None:
    try:
        send(app, request, queue, task_id)
    except OperationalError as error:
        raise ConnectionError(str(error)) from error


def send(
    app: LanewayApp, request: TaskRequest, queue: str, task_id: str, producer: Any = None
) -> None:
    """Publish a request that was checked; raises kombu's errors."""
    options: dict[str, Any] = {
        "countdown": request.countdown_s,
        "eta": request.eta,
        "expires": request.expires,
        "priority": request.priority,
        "producer": producer,
    }
    app.send_task(
        request.task,
        kwargs=dict(request.kwargs),
        task_id=task_id,
        queue=queue,
        headers=dict(request.headers),
        **{name: value for name, value in options.items() if value is not None},
    )
