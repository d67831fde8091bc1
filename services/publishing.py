"""Every publish of a service, measured and traced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from laneway.observability import publishing
from laneway.observability.publishing import PublishMetrics
from laneway.observability.spans import Tracer
from laneway.tasks.app import LanewayApp, Publish
from laneway.tasks.broker.publish import take_size


def observe_publishing(
    app: LanewayApp, metrics: PublishMetrics | None, tracer: Tracer | None
) -> None:
    """Let every publish of `app` be counted and have a span."""

    @contextmanager
    def observed(publish: Publish) -> Iterator[dict[str, Any]]:
        told = publishing.Publish(
            task_id=publish.task_id,
            task=publish.task,
            queue=publish.queue,
            root_id=publish.root_id,
            retry_of=publish.headers if publish.retries else None,
            later=publish.later,
        )
        with publishing.publish_span(told, metrics, tracer, size_bytes=take_size) as headers:
            yield {**publish.headers, **headers}

    app.publishing = observed  # type: ignore[method-assign]
