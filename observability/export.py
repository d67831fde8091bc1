"""From an ended span to the collector: a bounded queue, a thread, and a count of what is lost.

Loads the OpenTelemetry SDK: imported by `tracing` alone, once tracing is on.
"""

import logging
import os
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

QUEUE_SPANS = 4_096
BATCH_SPANS = 512
BATCH_DELAY_MS = 500
REQUEST_S = 5.0

logger = logging.getLogger(__name__)


class SpanPipeline(BatchSpanProcessor):
    """Batches spans; a full queue refuses the new ones, which are counted."""

    def __init__(self, url: str, on_drop: Callable[[str, int], None] | None) -> None:
        self._waiting = 0
        self._lock = Lock()
        self._on_drop = on_drop
        self._door = _CollectorDoor(url, self._sent, self._dropped)
        super().__init__(
            self._door,
            max_queue_size=QUEUE_SPANS,
            schedule_delay_millis=BATCH_DELAY_MS,
            max_export_batch_size=BATCH_SPANS,
        )

    @property
    def waiting(self) -> int:
        """Spans that have not been sent, nor dropped."""
        return self._waiting

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or count it as dropped; never waits for the collector."""
        if not (span.context and span.context.trace_flags.sampled):
            return
        with self._lock:
            reason = self._refusal()
            if reason is None:
                self._waiting += 1
        if reason is None:
            super().on_end(span)
        else:
            self._dropped(reason, 1)

    def shutdown(self, timeout_s: float = 2.0) -> None:
        """Send what is queued for at most `timeout_s`, drop the rest."""
        sending = Thread(target=super().shutdown, daemon=True)
        sending.start()
        sending.join(timeout_s)
        self._door.close()

    def rest_after_fork(self) -> None:
        """Stop the thread that the SDK started in a forked child."""
        super().shutdown()  # type: ignore[no-untyped-call]

    def _refusal(self) -> str | None:
        if self._door.closed.is_set():
            return "shutdown"
        return "queue_full" if self._waiting >= QUEUE_SPANS else None

    def _sent(self, count: int) -> None:
        with self._lock:
            self._waiting -= count

    def _dropped(self, reason: str, count: int) -> None:
        if self._on_drop is not None:
            self._on_drop(reason, count)


class _CollectorDoor(SpanExporter):
    """The exporter with a lid: once closed, what still comes is dropped without a request."""

    def __init__(
        self, url: str, on_done: Callable[[int], None], on_drop: Callable[[str, int], None]
    ) -> None:
        # The SDK logs every failed request; a collector that is down is worth one line.
        for name in ("opentelemetry.exporter", "opentelemetry.sdk"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self.closed = Event()
        self._pid = os.getpid()
        self._url = url
        self._inner = OTLPSpanExporter(url, timeout=REQUEST_S)
        self._on_done = on_done
        self._on_drop = on_drop
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            if not self.closed.is_set():
                result = self._inner.export(spans)
        finally:
            self._on_done(len(spans))
            if result is not SpanExportResult.SUCCESS:
                self._on_drop("shutdown" if self.closed.is_set() else "export_failed", len(spans))
        if not self.closed.is_set():
            self._tell(failing=result is not SpanExportResult.SUCCESS)
        return result

    def shutdown(self) -> None:
        # In a forked child the connection is the parent's: closing it is not ours to do.
        if self._pid == os.getpid():
            self.close()

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            self._inner.shutdown()  # type: ignore[no-untyped-call]

    def _tell(self, *, failing: bool) -> None:
        if failing == self._failing:
            return
        self._failing = failing
        if failing:
            logger.warning(
                "The trace collector at %s does not take spans, so they are dropped; tasks go on. "
                "Start it, or correct LANEWAY_OTLP_ENDPOINT.",
                self._url,
            )
        else:
            logger.warning("The trace collector at %s takes spans again.", self._url)
