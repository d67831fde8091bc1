"""The lanes: what they hold, and what holds on them."""

from collections.abc import Iterable

from fastapi import APIRouter

from laneway.services.gateway.access import MayRead
from laneway.services.gateway.context import Gateway, Here
from laneway.services.gateway.models import Lane, Lanes
from laneway.services.gateway.routes.responses import READ, refusals
from laneway.tasks.broker.backlog import Backlog, read_backlogs
from laneway.tasks.broker.client import reaching_lane
from laneway.tasks.dispatch import known_tasks


def routes() -> APIRouter:
    """Queue endpoints."""
    router = APIRouter(prefix="/v1", tags=["queues"], responses=refusals(*READ))
    router.add_api_route("/queues", queues)
    router.add_api_route("/queues/{queue}", one_queue)
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


def _lanes(gateway: Gateway, names: Iterable[str]) -> list[Lane]:
    tasks = sorted(known_tasks(gateway.app))
    return [
        Lane(
            queue=name,
            ready=backlog.ready,
            in_flight=backlog.in_flight,
            delayed=backlog.delayed,
            dead=backlog.dead,
            concurrency=entry.concurrency,
            wait_target_s=entry.wait_target,
            max_length=entry.max_length,
            tasks=[task for task in tasks if entry.admits(task)],
        )
        for name, backlog in _backlogs(gateway, names).items()
        for entry in [gateway.app.catalogue[name]]
    ]


def _backlogs(gateway: Gateway, names: Iterable[str]) -> dict[str, Backlog]:
    wanted, catalogue = list(names), gateway.app.catalogue
    found: dict[str, Backlog] = {}
    for lanes in catalogue.by_broker(wanted).values():
        entry = catalogue[lanes[0]]
        with (
            gateway.outage_of(lanes[0]).watch(),
            reaching_lane(gateway.settings, entry) as client,
        ):
            found |= read_backlogs(client, lanes)
    return {name: found[name] for name in wanted}
