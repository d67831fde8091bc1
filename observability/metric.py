"""What a metric is: its name, its labels, and how many series it may have."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram", "info"]
Place = Literal["producer", "worker", "gateway", "everywhere"]


@dataclass(frozen=True)
class Metric:
    """One metric: what it is called, what it counts in, and where it is measured.

    `most` bounds the sets of labels that a process has of it; what comes later counts as the task,
    or the type of error, `__other__`. 0 is for labels that are few by their nature.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    where: Place = "worker"
    buckets: tuple[float, ...] = ()
    most: int = 0

    @property
    def most_series(self) -> int:
        """Time series that its bounded sets of labels make at most."""
        return self.most * (len(self.buckets) + 3 if self.buckets else 1)
