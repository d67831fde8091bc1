"""Instruments made from catalogue entries.

Labels are given by name. A label that is a Python keyword takes an underscore: `class_="ok"`.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import prometheus_client as prometheus
from prometheus_client import CollectorRegistry

from laneway.observability.catalogue import Metric
from laneway.observability.labels import OPEN, OTHER, LabelGuard

Exemplar = Mapping[str, str]


class Counting(Protocol):
    """What counts up: an instrument of this process, or of its parent."""

    def inc(self, amount: float = 1, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Add to the series of these labels."""


class Observing(Protocol):
    """What counts observations in buckets."""

    def observe(self, value: float, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Count a value, in the metric's unit."""


class _Instrument:
    _root: Any

    def __init__(self, metric: Metric, guard: LabelGuard) -> None:
        self._metric = metric
        self._guard = guard
        # By the labels as they are given. Only labels that stand as they are get here, so it is as
        # bounded as the series.
        self._known: dict[tuple[tuple[str, str], ...], Any] = {}
        self._seen: set[tuple[str, ...]] = set()

    def _series(self, labels: Mapping[str, str]) -> Any:
        """The series of these labels; every attempt asks for several, so the way is short."""
        given = tuple(labels.items())
        found = self._known.get(given)
        if found is None:
            values = self._cleaned(labels)
            found = self._root.labels(*values) if values else self._root
            if set(values) == set(labels.values()):
                self._known[given] = found
        return found

    def _cleaned(self, labels: Mapping[str, str]) -> list[str]:
        given = {name.rstrip("_"): value for name, value in labels.items()}
        if given.keys() != set(self._metric.labels):
            raise TypeError(
                f"{self._metric.name} takes the labels {', '.join(self._metric.labels) or 'none'}, "
                f"not {', '.join(given) or 'none'}. Give each of them once."
            )
        cleaned = [self._guard.clean(name, given[name]) for name in self._metric.labels]
        return self._bounded(cleaned) if self._metric.most else cleaned

    def _bounded(self, values: list[str]) -> list[str]:
        """These values, or those of the rest when the metric has as many series as it may."""
        key = tuple(values)
        if key in self._seen:
            return values
        # One short of it: the last is for the rest.
        if len(self._seen) < self._metric.most - 1:
            self._seen.add(key)
            return values
        names = self._metric.labels
        return [OTHER if n in OPEN else v for n, v in zip(names, values, strict=True)]


class Counter(_Instrument):
    """Counts up."""

    def __init__(self, metric: Metric, guard: LabelGuard, registry: CollectorRegistry) -> None:
        super().__init__(metric, guard)
        self._root = prometheus.Counter(
            metric.name, metric.help, metric.labels, unit=metric.unit, registry=registry
        )

    def inc(self, amount: float = 1, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Add to the series of these labels; an amount of 0 creates it."""
        self._series(labels).inc(amount, dict(exemplar) if exemplar else None)


class Gauge(_Instrument):
    """Goes up and down."""

    def __init__(self, metric: Metric, guard: LabelGuard, registry: CollectorRegistry) -> None:
        super().__init__(metric, guard)
        self._root = prometheus.Gauge(
            metric.name, metric.help, metric.labels, unit=metric.unit, registry=registry
        )

    def set(self, value: float, **labels: str) -> None:
        """Set the series of these labels."""
        self._series(labels).set(value)


class Histogram(_Instrument):
    """Counts observations in buckets."""

    def __init__(self, metric: Metric, guard: LabelGuard, registry: CollectorRegistry) -> None:
        super().__init__(metric, guard)
        self._root = prometheus.Histogram(
            metric.name,
            metric.help,
            metric.labels,
            unit=metric.unit,
            registry=registry,
            buckets=metric.buckets,
        )

    def observe(self, value: float, *, exemplar: Exemplar | None = None, **labels: str) -> None:
        """Count a value, in the metric's unit."""
        self._series(labels).observe(value, dict(exemplar) if exemplar else None)
