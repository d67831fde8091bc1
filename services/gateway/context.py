"""What every endpoint of one gateway shares."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import redis
from fastapi import Depends, Request

from laneway.observability.metrics import Metrics
from laneway.observability.spans import Tracer
from laneway.services.gateway.events import EventStreams
from laneway.services.gateway.outage import Outage
from laneway.services.gateway.readiness import Readiness
from laneway.services.gateway.tokens import TokenFile
from laneway.services.gateway.uploads import Uploads
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.client import broker_client
from laneway.tasks.settings import Settings


@dataclass
class Gateway:
    """One gateway: the app it publishes with, the tokens it asks for, what it knows of Redis."""

    app: LanewayApp
    tokens: TokenFile | None
    metrics: Metrics
    tracer: Tracer | None
    streams: EventStreams
    uploads: Uploads
    readiness: Readiness
    # Apart, because states may lie in a Redis of their own.
    outage: Outage = field(default_factory=Outage)
    states_outage: Outage = field(default_factory=Outage)

    @property
    def settings(self) -> Settings:
        """The settings of the app."""
        return self.app.settings

    @property
    def payload_limit_bytes(self) -> int:
        """Largest JSON body of one task."""
        return self.settings.gateway_payload_limit_bytes

    @property
    def broker(self) -> "redis.Redis":
        """The client of the broker."""
        return broker_client(self.settings)

    @contextmanager
    def continuing(self, task: str, headers: Mapping[str, str]) -> Iterator[None]:
        """Around a submit: its publish belongs to the trace that the caller's headers name."""
        if self.tracer is None:
            yield
            return
        attributes = {"celery.task.name": task}
        span = self.tracer.start(f"submit {task}", "internal", attributes, parent=headers)
        try:
            with span.current():
                yield
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            span.end()


async def gateway_of(request: Request) -> Gateway:
    """The gateway that a request came to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


Here = Annotated[Gateway, Depends(gateway_of)]
