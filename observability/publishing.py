"""Measuring a publish: its span, its count, and the headers that the worker will read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from laneway.observability.faults import error_type
from laneway.observability.headers import (
    ENQUEUED_AT,
    FIRST_ENQUEUED_AT,
    ORIGIN,
    PREVIOUS,
    TRACEPARENT,
    TRACESTATE,
    Headers,
    format_time,
    texts,
)
from laneway.observability.instruments import Counting, Exemplar, Observing
from laneway.observability.spans import NO_SPAN, Span, Tracer


@dataclass(frozen=True)
class Publish:
    """One task on its way to the broker.

    Attributes:
        task_id: The task's id.
        task: The task's name.
        queue: The lane it goes to.
        root_id: Id of the first task of its tree.
        retry_of: Headers of the attempt that publishes itself anew; None for a first publish.
        later: Whether it waits for an ETA or a countdown.
    """

    task_id: str
    task: str
    queue: str
    root_id: str | None = None
    retry_of: Headers | None = None
    later: bool = False


class PublishMetrics(Protocol):
    """Where publishes are counted: `Metrics`, or what a pool process tells its parent by."""

    @property
    def published(self) -> Counting:
        """Tasks handed to the broker."""

    @property
    def publish_duration(self) -> Observing:
        """Time until it took them."""

    @property
    def published_bytes(self) -> Observing:
        """Their size."""


@contextmanager
def publish_span(
    publish: Publish,
    metrics: PublishMetrics | None = None,
    tracer: Tracer | None = None,
    *,
    wall_s: Callable[[], float] = time.time,
    size_bytes: Callable[[], int] = lambda: 0,
) -> Iterator[dict[str, str]]:
    """Wrap the call that publishes; yields the headers to add to the message.

    An exception goes through, and is counted and noted in the span by its type alone.
    `size_bytes` says, after the call, how large the message was; 0 if that is not known.
    """
    span = _start(publish, tracer)
    began_s = time.perf_counter()
    result = "error"
    try:
        with span.current():
            yield _headers(publish, span, wall_s())
        result = "ok"
    except BaseException as error:
        span.fail(error_type(error))
        raise
    finally:
        span.end()
        if metrics is not None:
            took_s = time.perf_counter() - began_s
            _count(metrics, publish, result, took_s, span.exemplar)
            if result == "ok" and (size := size_bytes()):
                metrics.published_bytes.observe(size, queue=publish.queue)


def _start(publish: Publish, tracer: Tracer | None) -> Span:
    if tracer is None:
        return NO_SPAN
    attributes = {
        "messaging.system": "redis",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": publish.queue,
        "messaging.message.id": publish.task_id,
        "messaging.message.conversation_id": publish.root_id,
        "celery.task.name": publish.task,
    }
    return tracer.start(f"send {publish.queue}", "producer", attributes)


def _headers(publish: Publish, span: Span, now_s: float) -> dict[str, str]:
    times = {ENQUEUED_AT: format_time(now_s), FIRST_ENQUEUED_AT: format_time(now_s)}
    if publish.retry_of is None:
        return {**times, **span.headers}
    return {**times, **_carried(publish.retry_of)}


def _carried(attempt: Headers) -> dict[str, str]:
    """What a retry keeps, so that attempts of a task hang side by side under its first send."""
    carried = texts(attempt, FIRST_ENQUEUED_AT, TRACEPARENT, TRACESTATE)
    origin = texts(attempt, ORIGIN)
    if origin and TRACEPARENT in carried:
        carried |= {PREVIOUS: carried[TRACEPARENT], TRACEPARENT: origin[ORIGIN]}
    return carried


def _count(
    metrics: PublishMetrics,
    publish: Publish,
    result: str,
    took_s: float,
    exemplar: Exemplar | None,
) -> None:
    queue = publish.queue
    metrics.published.inc(
        exemplar=exemplar,
        queue=queue,
        task=publish.task,
        kind="first" if publish.retry_of is None else "retry",
        delay="later" if publish.later else "now",
        result=result,
    )
    metrics.publish_duration.observe(took_s, exemplar=exemplar, queue=queue, result=result)
