"""Instruments made from catalogue entries.

Labels are given by name. A label that is a Python keyword takes an underscore: `class_="ok"`.

The numbers are kept here and handed to prometheus_client when Prometheus asks, as every attempt moves
about ten of them: the library's own counters and histograms take ten times as long to do it.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate
from threading import Lock
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Exemplar as Sampled
from prometheus_client.utils import floatToGoString

from laneway.observability.labels import OPEN, OTHER, LabelGuard
from laneway.observability.metric import Metric

Exemplar = Mapping[str, str]


class Counting(Protocol):
    """What counts up: an instrument of this process, or of its parent."""

    def inc(self, amount: float = 1, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Add to the series of these labels."""


class Observing(Protocol):
    """What counts observations in buckets."""

    def observe(self, value: float, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Count a value, in the metric's unit."""


class Number:
    """One series of a counter or a gauge."""

    __slots__ = ("exemplar", "lock", "value")

    def __init__(self) -> None:
        self.lock = Lock()
        self.value = 0.0
        self.exemplar: Sampled | None = None

    def inc(self, amount: float = 1, exemplar: Exemplar | None = None) -> None:
        """Add to it."""
        with self.lock:
            self.value += amount
            if exemplar:
                self.exemplar = Sampled(dict(exemplar), amount, time.time())


class Buckets:
    """One series of a histogram; the last count is of what lies above every bound."""

    __slots__ = ("bounds", "counts", "exemplars", "lock", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.lock = Lock()
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.exemplars: list[Sampled | None] = [None] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Count a value."""
        at = bisect_left(self.bounds, value)
        with self.lock:
            self.counts[at] += 1
            self.total += value
            if exemplar:
                self.exemplars[at] = Sampled(dict(exemplar), value, time.time())


class _Silent:
    """The only series of an instrument that counts nothing."""

    value = 0.0

    def inc(self, amount: float = 1, exemplar: Exemplar | None = None) -> None:
        """Nothing."""

    def observe(self, value: float, exemplar: Exemplar | None = None) -> None:
        """Nothing."""


class _Instrument:
    """Series by the values of their labels. Safe to use from many threads.

    Without a registry nobody would read them: nothing is counted.
    """

    _family_of: Any

    def __init__(
        self, metric: Metric, guard: LabelGuard, registry: CollectorRegistry | None
    ) -> None:
        self._metric = metric
        self._guard = guard
        self._all: dict[tuple[str, ...], Any] = {}
        # By the labels as they are given. Only labels that stand as they are get here, so it is as
        # bounded as the series.
        self._known: dict[tuple[str, ...], Any] = {}
        self._making = Lock()
        self._silent = None if registry is not None else _Silent()
        if registry is None:
            return
        if not metric.labels:
            self._series({})  # a count without labels is 0 from the beginning
        registry.register(self)

    def _new(self) -> Any:
        raise NotImplementedError

    def describe(self) -> Iterator[Family]:
        """The family without values."""
        yield self._family()

    def collect(self) -> Iterator[Family]:
        """The family with the values of now."""
        family = self._family()
        for values, series in tuple(self._all.items()):
            self._add(family, values, series)
        yield family

    def _family(self) -> Any:
        metric = self._metric
        return self._family_of(metric.name, metric.help, labels=metric.labels, unit=metric.unit)

    def _add(self, family: Any, values: tuple[str, ...], series: Any) -> None:
        raise NotImplementedError

    def _series(self, labels: Mapping[str, str]) -> Any:
        """The series of these labels; every attempt asks for several, so the way is short."""
        if self._silent is not None:
            return self._silent
        given = (*labels, *labels.values())
        found = self._known.get(given)
        if found is None:
            with self._making:
                values = self._cleaned(labels)
                found = self._all.setdefault(values, self._new())
                if set(values) == set(labels.values()):
                    self._known[given] = found
        return found

    def _cleaned(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        given = {name.rstrip("_"): value for name, value in labels.items()}
        if given.keys() != set(self._metric.labels):
            raise TypeError(
                f"{self._metric.name} takes the labels {', '.join(self._metric.labels) or 'none'}, "
                f"not {', '.join(given) or 'none'}. Give each of them once."
            )
        names = self._metric.labels
        cleaned = tuple(str(self._guard.clean(name, given[name])) for name in names)
        # One short of the most: the last is for the rest.
        if not self._metric.most or cleaned in self._all or len(self._all) < self._metric.most - 1:
            return cleaned
        return tuple(OTHER if n in OPEN else v for n, v in zip(names, cleaned, strict=True))


class Counter(_Instrument):
    """Counts up."""

    _family_of = CounterMetricFamily

    def inc(self, amount: float = 1, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Add to the series of these labels; an amount of 0 creates it."""
        self._series(labels).inc(amount, exemplar)

    def bind(self, **labels: str) -> Number:
        """The series of these labels, for who counts in it often."""
        series: Number = self._series(labels)
        return series

    def _new(self) -> Number:
        return Number()

    def _add(self, family: Any, values: tuple[str, ...], series: Number) -> None:
        family.add_metric(values, series.value, exemplar=series.exemplar)


class Gauge(_Instrument):
    """Goes up and down."""

    _family_of = GaugeMetricFamily

    def set(self, value: float, **labels: str) -> None:
        """Set the series of these labels."""
        self._series(labels).value = float(value)

    def _new(self) -> Number:
        return Number()

    def _add(self, family: Any, values: tuple[str, ...], series: Number) -> None:
        family.add_metric(values, series.value)


class Histogram(_Instrument):
    """Counts observations in buckets."""

    _family_of = HistogramMetricFamily

    def observe(self, value: float, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Count a value, in the metric's unit."""
        self._series(labels).observe(value, exemplar)

    def bind(self, **labels: str) -> Buckets:
        """The series of these labels, for who counts in it often."""
        series: Buckets = self._series(labels)
        return series

    def _new(self) -> Buckets:
        return Buckets(self._metric.buckets)

    def _add(self, family: Any, values: tuple[str, ...], series: Buckets) -> None:
        with series.lock:
            counts, total = list(accumulate(series.counts)), series.total
            exemplars = list(series.exemplars)
        bounds = [*map(floatToGoString, self._metric.buckets), "+Inf"]
        buckets = list(zip(bounds, counts, exemplars, strict=True))
        family.add_metric(values, buckets=buckets, sum_value=total)
