"""The gateway as an ASGI app: everything it is made of, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import laneway
from laneway.observability.backlog import BrokerBacklog
from laneway.observability.metrics import Metrics
from laneway.observability.spans import Tracer
from laneway.services.gateway.access import token_file
from laneway.services.gateway.context import Gateway
from laneway.services.gateway.events import EventStreams
from laneway.services.gateway.guard import Guard
from laneway.services.gateway.openapi import describe_tasks
from laneway.services.gateway.problems import add_handlers
from laneway.services.gateway.readiness import Readiness
from laneway.services.gateway.routes import dead_letters, documents, queues, service, submit, tasks
from laneway.services.gateway.uploads import Uploads
from laneway.services.surveying import lane_backlog
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.survey import survey_all
from laneway.tasks.dispatch import known_tasks

DESCRIPTION = (
    "Submit tasks to lanes, follow them, call them off; look after dead letters; upload documents "
    "and search them. Send Authorization: Bearer TOKEN. Every refusal is JSON of error, message and "
    "details."
)


def create_gateway(
    app: LanewayApp, metrics: Metrics | None = None, tracer: Tracer | None = None
) -> FastAPI:
    """A gateway that publishes with `app`.

    Args:
        app: a producer's app; its settings are the gateway's.
        metrics: what requests are counted in; new ones if not given.
        tracer: makes a submit part of its caller's trace; None for no spans.

    Raises:
        ConfigurationError: the tokens file is wrong or missing on an address that others reach,
            or a module of LANEWAY_TASK_MODULES cannot be imported.
    """
    known = known_tasks(app)
    gateway = _gateway(app, metrics or Metrics(tasks=known), tracer)
    api = FastAPI(
        title="Laneway",
        version=laneway.__version__,
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    api.state.gateway = gateway
    for part in (submit, tasks, queues, dead_letters, documents, service):
        api.include_router(part.routes())
    api.add_middleware(Guard, metrics=gateway.metrics)
    add_handlers(api)
    describe_tasks(api, known, app.settings.gateway_bulk_limit)
    return api


def _gateway(app: LanewayApp, metrics: Metrics, tracer: Tracer | None) -> Gateway:
    metrics.watch_backlog(lambda: _backlogs(app))
    _ = app.backend  # made here once, instead of by whichever requests come first
    return Gateway(
        app=app,
        tokens=token_file(app.settings),
        metrics=metrics,
        tracer=tracer,
        streams=EventStreams(app.settings),
        uploads=Uploads(app.settings),
        readiness=Readiness(app.settings),
    )


def _backlogs(app: LanewayApp) -> BrokerBacklog:
    found = survey_all(app.settings, app.catalogue)
    return BrokerBacklog({lane: lane_backlog(one) for lane, one in found.items()})


@asynccontextmanager
async def _lifespan(api: FastAPI) -> AsyncIterator[None]:
    yield
    gateway: Gateway = api.state.gateway
    gateway.streams.end_all()
    gateway.readiness.close()
