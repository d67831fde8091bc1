"""Spans in the few shapes Laneway uses.

The OpenTelemetry API is loaded with the first tracer. Without one, every span is `NO_SPAN`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from laneway.observability.faults import error_type, frames
from laneway.observability.headers import TRACEPARENT, TRACESTATE, Headers, texts

if TYPE_CHECKING:
    from opentelemetry import trace
    from opentelemetry.context import Context

Value = str | int | float | bool
Kind = Literal["producer", "consumer", "internal"]


class Span:
    """A span that records nothing."""

    trace_id: str | None = None
    span_id: str | None = None
    recording = False

    @property
    def headers(self) -> dict[str, str]:
        """`traceparent` and `tracestate` that make a message this span's child."""
        return {}

    @property
    def exemplar(self) -> dict[str, str] | None:
        """What leads from a metric to this span; None if it will not be exported."""
        if not self.recording or self.trace_id is None or self.span_id is None:
            return None
        return {"trace_id": self.trace_id, "span_id": self.span_id}

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        """Add attributes; those that are None are left out."""

    def event(self, name: str, attributes: Mapping[str, Value | None] | None = None) -> None:
        """Note that something happened now."""

    def fault(self, error: BaseException) -> None:
        """Note an exception by type and frames, without its message, and set status ERROR."""

    def fail(self, kind: str) -> None:
        """Set status ERROR with an `error.type`."""

    def end(self, at_s: float | None = None) -> None:
        """End it, now or at a time in seconds since the epoch."""

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make it the parent of what starts inside; undone however the block is left."""
        yield


NO_SPAN = Span()


class _RealSpan(Span):
    def __init__(self, span: "trace.Span") -> None:
        self._span = span
        context = span.get_span_context()
        self.trace_id = format(context.trace_id, "032x")
        self.span_id = format(context.span_id, "016x")
        self.recording = span.is_recording()

    @property
    def headers(self) -> dict[str, str]:
        from opentelemetry.trace import set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, set_span_in_context(self._span))
        return carrier

    def set(self, attributes: Mapping[str, Value | None]) -> None:
        self._span.set_attributes(_present(attributes))

    def event(self, name: str, attributes: Mapping[str, Value | None] | None = None) -> None:
        self._span.add_event(name, _present(attributes or {}))

    def fault(self, error: BaseException) -> None:
        kind = error_type(error)
        stack = "\n".join(frames(error))
        self.event("exception", {"exception.type": kind, "exception.stacktrace": stack})
        self.fail(kind)

    def fail(self, kind: str) -> None:
        from opentelemetry.trace import StatusCode

        self.set({"error.type": kind})
        self._span.set_status(StatusCode.ERROR)

    def end(self, at_s: float | None = None) -> None:
        self._span.end(None if at_s is None else _nanoseconds(at_s))

    @contextmanager
    def current(self) -> Iterator[None]:
        from opentelemetry.trace import use_span

        with use_span(self._span, record_exception=False, set_status_on_exception=False):
            yield


class Tracer:
    """Starts spans; made by `start_tracing`."""

    def __init__(self, tracer: "trace.Tracer") -> None:
        self._tracer = tracer

    def start(
        self,
        name: str,
        kind: Kind,
        attributes: Mapping[str, Value | None],
        *,
        parent: Headers | None = None,
        links: Mapping[str, str | None] | None = None,
        start_s: float | None = None,
    ) -> Span:
        """Start a span.

        Args:
            name: Its name.
            kind: Its kind.
            attributes: What is known of it; those that are None are left out.
            parent: Message headers that hold its parent, or none for a new trace. Without
                this argument, the span current in this thread is the parent.
            links: `traceparent` of each span to link to, by what it is to this one.
            start_s: When it began, seconds since the epoch; now if not given.
        """
        from opentelemetry.trace import SpanKind

        span = self._tracer.start_span(
            name,
            None if parent is None else _context(parent),
            kind=SpanKind[kind.upper()],
            attributes=_present(attributes),
            links=_links(links or {}),
            start_time=None if start_s is None else _nanoseconds(start_s),
        )
        return _RealSpan(span)


def _context(headers: Headers) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(texts(headers, TRACEPARENT, TRACESTATE))


def _links(named: Mapping[str, str | None]) -> "list[trace.Link]":
    from opentelemetry.trace import Link, get_current_span

    found = []
    for name, traceparent in named.items():
        if traceparent is None:
            continue
        linked = get_current_span(_context({TRACEPARENT: traceparent})).get_span_context()
        if linked.is_valid:
            found.append(Link(linked, {"celery.link": name}))
    return found


def _present(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(time_s: float) -> int:
    return int(time_s * 1_000_000_000)
