"""Sending spans to a collector over OTLP/HTTP, without ever making a task wait for it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from laneway.observability.spans import Tracer

if TYPE_CHECKING:
    from laneway.observability.export import SpanPipeline

SHUTDOWN_S = 2.0

OnDrop = Callable[[str, int], None]
"""Told a reason and how many spans were lost; called from any thread."""


@dataclass(frozen=True)
class _Target:
    endpoint: str
    service_name: str
    attributes: Mapping[str, str]
    on_drop: OnDrop | None
    share: float


class Tracing:
    """The tracing of one process. `tracer` is None when it is off."""

    def __init__(self, target: _Target | None = None) -> None:
        self._target = target
        self._pid = os.getpid()
        self._pipeline: SpanPipeline | None = None
        self.tracer: Tracer | None = None
        if target is not None:
            self._pipeline, self.tracer = _open(target)

    def child(self, on_drop: OnDrop | None = None) -> "Tracing":
        """The tracing to use in a process that was just forked: its own connection and thread.

        The parent's is put to rest here, without touching what it shares with the parent. The
        parent's metrics are out of reach of a child: it reports drops to `on_drop`, if given.
        """
        if self._pipeline is None or self._target is None or self._pid == os.getpid():
            return self
        self._pipeline.rest_after_fork()
        return Tracing(replace(self._target, on_drop=on_drop))

    def waiting(self) -> int:
        """Spans that wait to be sent."""
        return self._pipeline.waiting if self._pipeline is not None else 0

    def shutdown(self, timeout_s: float = SHUTDOWN_S) -> None:
        """Send what is left, for at most `timeout_s`; the rest is counted as dropped."""
        if self._pipeline is not None:
            self._pipeline.shutdown(timeout_s)


def start_tracing(
    endpoint: str | None,
    service_name: str,
    attributes: Mapping[str, str] | None = None,
    on_drop: OnDrop | None = None,
    *,
    share: float = 1.0,
) -> Tracing:
    """Start tracing, or not: without an endpoint no OpenTelemetry code is loaded.

    Args:
        endpoint: Base URL of an OTLP/HTTP collector, such as `http://collector:4318`.
        service_name: `service.name` of the spans.
        attributes: Further resource attributes.
        on_drop: Told of every loss; usually `Metrics.span_dropped`.
        share: Part of the traces that begin here and are sent, 0 to 1. One that began elsewhere is
            sent if its beginning was.
    """
    if not endpoint:
        return Tracing()
    target = _Target(endpoint.rstrip("/"), service_name, attributes or {}, on_drop, share)
    return Tracing(target)


def _open(target: _Target) -> "tuple[SpanPipeline, Tracer]":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    from laneway.observability.export import SpanPipeline

    pipeline = SpanPipeline(f"{target.endpoint}/v1/traces", target.on_drop)
    provider = TracerProvider(
        resource=Resource.create({**target.attributes, "service.name": target.service_name}),
        sampler=ParentBasedTraceIdRatio(target.share),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(pipeline)
    return pipeline, Tracer(provider.get_tracer("laneway"))
