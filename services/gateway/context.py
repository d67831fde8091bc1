"""What every endpoint of one gateway shares."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from laneway.observability.metrics import Metrics
from laneway.observability.spans import Tracer
from laneway.services.gateway.events import EventStreams
from laneway.services.gateway.outage import Outage
from laneway.services.gateway.readiness import Readiness
from laneway.services.gateway.tokens import TokenFile
from laneway.services.gateway.uploads import Uploads
from laneway.tasks.app import LanewayApp
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
    # Apart, because states may lie in a Redis of their own, and so may a lane.
    states_outage: Outage = field(default_factory=Outage)
    _outages: dict[str | None, Outage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._outages = {broker: Outage() for broker in (None, *self.app.catalogue.brokers)}

    def watch(self, broker: str | None) -> AbstractContextManager[None]:
        """Around every use of a broker, so that one request at a time waits for it while it is away."""
        return self._outages[broker].watch()

    def outage_of(self, queue: str) -> Outage:
        """Of the broker that holds a queue."""
        return self._outages[self.app.catalogue[queue].broker]

    @property
    def settings(self) -> Settings:
        """The settings of the app."""
        return self.app.settings

    @property
    def payload_limit_bytes(self) -> int:
        """Largest JSON body of one task."""
        return self.settings.gateway_payload_limit_bytes

    @contextmanager
    def continuing(self, task: str | None, headers: Mapping[str, str]) -> Iterator[None]:
        """Around a submit: its publish belongs to the trace that the caller's headers name.

        Without a task it is one of many.
        """
        if self.tracer is None:
            yield
            return
        attributes = {"celery.task.name": task} if task else {}
        span = self.tracer.start(f"submit {task or 'bulk'}", "internal", attributes, parent=headers)
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
