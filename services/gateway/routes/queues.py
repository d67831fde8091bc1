"""The lanes: what they hold, and their dead letters."""

from collections.abc import Iterable
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Query

from laneway.services.gateway.access import MayOperate, MayRead
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.models import DeadLetters, Lane, Lanes, presentable
from laneway.services.gateway.routes.responses import READ, refusals
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.client import reaching
from laneway.tasks.broker.dead_letters import iterate
from laneway.tasks.dispatch import known_tasks

_SHOWN = ("id", "kind", "reason", "task", "task_id", "worker", "deliveries", "died_at_s")
"""What a list of dead letters tells: nothing of what the tasks were given."""


def routes() -> APIRouter:
    """Queue endpoints."""
    router = APIRouter(prefix="/v1", tags=["queues"], responses=refusals(*READ))
    router.add_api_route("/queues", queues)
    router.add_api_route("/queues/{queue}", one_queue)
    router.add_api_route("/queues/{queue}/dead-letters", dead_letters)
    return router


def queues(caller: MayRead, gateway: Here) -> Lanes:
    """Every queue that the token reaches."""
    reached = [name for name in gateway.app.catalogue if caller.token.may_use(name)]
    return Lanes(queues=_lanes(gateway, reached))


def one_queue(queue: str, caller: MayRead, gateway: Here) -> Lane:
    """One queue."""
    _ = gateway.app.catalogue[queue]
    caller.require_queue(queue)
    return _lanes(gateway, [queue])[0]


def dead_letters(
    queue: str,
    caller: MayOperate,
    gateway: Here,
    limit: Annotated[int, Query(ge=1, le=1_000, description="Most dead letters.")] = 100,
) -> DeadLetters:
    """A queue's youngest dead letters with their reasons."""
    _ = gateway.app.catalogue[queue]
    caller.require_queue(queue)
    with gateway.outage.watch(), reaching(gateway.settings.broker):
        found = list(islice(iterate(gateway.broker, queue), limit))
    shown = [{name: getattr(letter, name) for name in _SHOWN} for letter in found]
    return DeadLetters(queue=queue, dead_letters=presentable(shown))


def _lanes(gateway: Gateway, names: Iterable[str]) -> list[Lane]:
    tasks = sorted(known_tasks(gateway.app))
    with gateway.outage.watch(), reaching(gateway.settings.broker):
        backlogs = read_backlogs(gateway.broker, names)
    return [
        Lane(
            queue=name,
            ready=backlog.ready,
            in_flight=backlog.in_flight,
            dead=backlog.dead,
            concurrency=entry.concurrency,
            wait_target_s=entry.wait_target,
            max_length=entry.max_length,
            tasks=[task for task in tasks if entry.admits(task)],
        )
        for name, backlog in backlogs.items()
        for entry in [gateway.app.catalogue[name]]
    ]
