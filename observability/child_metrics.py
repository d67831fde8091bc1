"""Metrics of pool processes: told to the worker, whose registry no forked process may touch.

One message a value, over a socket that keeps their bounds. A process never waits: what does not go
at once is lost, and counted with the next that goes.
"""

import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Thread

from laneway.observability import catalogue
from laneway.observability.instruments import Exemplar
from laneway.observability.metric import Metric
from laneway.observability.metrics import Metrics

_MESSAGE_BYTES = 8_192
_BUFFER_BYTES = 1 << 18


class ChildMetrics:
    """What a pool process may count; the same calls as on `Metrics`.

    Make it before the fork, in the worker, and `serve` it there.
    """

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._writing.setblocking(False)
        self._writing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
        self._lost = 0
        self.published = _Told(self, catalogue.PUBLISHED)
        self.publish_duration = _Told(self, catalogue.PUBLISH_DURATION)
        self.published_bytes = _Told(self, catalogue.PUBLISHED_BYTES)
        self.telemetry_dropped = _Told(self, catalogue.TELEMETRY_DROPPED)

    def serve(self, metrics: Metrics) -> None:
        """Count what is told, in a thread of the worker."""
        Thread(target=self._serve, args=(metrics,), name="child-metrics", daemon=True).start()

    def close(self) -> None:
        """Tell and hear nothing more."""
        self._writing.close()
        self._reading.close()

    def span_dropped(self, reason: str, count: int) -> None:
        """Count lost spans; `start_tracing` takes it as `on_drop`."""
        self.telemetry_dropped.inc(count, signal="traces", reason=reason)

    def tell(
        self, metric: Metric, value: float, labels: Mapping[str, str], exemplar: Exemplar | None
    ) -> None:
        """Send one value, or lose it."""
        said = [metric.name, value, dict(labels), dict(exemplar) if exemplar else None, self._lost]
        try:
            self._writing.send(json.dumps(said).encode())
        except OSError:
            self._lost += 1
        else:
            self._lost = 0

    def _serve(self, metrics: Metrics) -> None:
        taking: dict[str, Callable[..., None]] = {
            catalogue.PUBLISHED.name: metrics.published.inc,
            catalogue.PUBLISH_DURATION.name: metrics.publish_duration.observe,
            catalogue.PUBLISHED_BYTES.name: metrics.published_bytes.observe,
            catalogue.TELEMETRY_DROPPED.name: metrics.telemetry_dropped.inc,
        }
        while True:
            try:
                message = self._reading.recv(_MESSAGE_BYTES)
            except OSError:
                return  # closed
            if not message:
                return
            try:
                name, value, labels, exemplar, lost = json.loads(message)
                taking[name](value, exemplar=exemplar, **labels)
            except Exception:  # noqa: BLE001 - a task may write whatever it likes to any descriptor
                metrics.telemetry_dropped.inc(signal="metrics", reason="garbled")
                continue
            if lost:
                metrics.telemetry_dropped.inc(lost, signal="metrics", reason="child_channel_full")


@dataclass(frozen=True)
class _Told:
    """An instrument of the worker's, used from a pool process."""

    channel: ChildMetrics
    metric: Metric

    def inc(self, amount: float = 1, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        self.channel.tell(self.metric, amount, labels, exemplar)

    def observe(self, value: float, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        self.channel.tell(self.metric, value, labels, exemplar)
