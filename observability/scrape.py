"""Values that are read when Prometheus asks for them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from laneway.observability.labels import LabelGuard
from laneway.observability.metric import Metric


@dataclass(frozen=True)
class Reading:
    """One value; `labels` in the order of the catalogue entry."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


class ScrapeCollector:
    """Serves readings as counters and gauges; a read that fails costs its readings alone."""

    def __init__(
        self,
        metrics: Sequence[Metric],
        read: Callable[[], Iterable[Reading]],
        guard: LabelGuard,
        on_failure: Callable[[], None],
    ) -> None:
        self._metrics = metrics
        self._read = read
        self._guard = guard
        self._on_failure = on_failure

    def describe(self) -> Iterator[Family]:
        """The families without values, so that registering reads nothing."""
        return (_family(metric) for metric in self._metrics)

    def collect(self) -> Iterator[Family]:
        """The families with what is read now."""
        sums = self._sums()
        for metric in self._metrics:
            family = _family(metric)
            for (name, labels), value in sums.items():
                if name == metric.name:
                    family.add_metric(labels, value)
            yield family

    def _sums(self) -> dict[tuple[str, tuple[str, ...]], float]:
        # Two tasks may share a series once their labels are cleaned.
        sums: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        try:
            for reading in self._read():
                names = reading.metric.labels
                labels = tuple(map(self._guard.clean, names, reading.labels))
                sums[reading.metric.name, labels] += reading.value
        except Exception:  # noqa: BLE001 - whatever a reader raises, the rest is still served
            self._on_failure()
            return {}
        return sums


def _family(metric: Metric) -> CounterMetricFamily | GaugeMetricFamily:
    make = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    return make(metric.name, metric.help, labels=metric.labels, unit=metric.unit)
