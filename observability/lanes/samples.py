"""The samples that tell of lanes, out of what `/metrics` answers."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from laneway.observability import catalogue
from laneway.observability.metric import Metric

Merge = Literal["grow", "max", "sum", "mean"]
"""How endpoints add up: counters grow; several may read one broker, of which the largest holds;
what each has of its own is summed."""


class Key(NamedTuple):
    """One series, with all labels summed but two."""

    metric: str
    lane: str
    detail: str = ""


Values = Mapping[Key, float]


@dataclass(frozen=True)
class Wanted:
    """A metric, the label to keep beside `queue`, and how endpoints add up."""

    metric: Metric
    merge: Merge
    detail: str = ""

    @property
    def sample(self) -> str:
        """The name its samples have."""
        return self.metric.name + ("_bucket" if self.metric.kind == "histogram" else "")


WANTED = (
    Wanted(catalogue.ATTEMPTS, "grow", "outcome"),
    Wanted(catalogue.QUEUE_WAIT, "grow", "le"),
    Wanted(catalogue.DEAD_LETTERED, "grow"),
    Wanted(catalogue.QUEUE_DEPTH, "max"),
    Wanted(catalogue.QUEUE_UNACKED, "max"),
    Wanted(catalogue.QUEUE_DELAYED, "max"),
    Wanted(catalogue.QUEUE_OLDEST_AGE, "max"),
    Wanted(catalogue.QUEUE_WORKERS, "max"),
    Wanted(catalogue.DEAD_LETTERS, "max"),
    Wanted(catalogue.SLO_THRESHOLD, "max", "slo"),
    Wanted(catalogue.SLOTS, "sum", "state"),
    Wanted(catalogue.CONSUMING, "sum"),
    Wanted(catalogue.DRAINING, "sum"),
    Wanted(catalogue.BROKER_UP, "mean"),
)

UNTOLD_WAIT = "claimed"
"""The kind of wait that is counted from the claim, for want of a time: it tells nothing of the
lane, and would make the others look short."""

_BY_SAMPLE = {wanted.sample: wanted for wanted in WANTED}
_COUNTERS = {wanted.metric.name for wanted in WANTED if wanted.merge == "grow"}


def read_samples(text: str) -> Values:
    """The wanted samples of one endpoint, from Prometheus' text format.

    Raises:
        ValueError: it is no such text.
    """
    values: dict[Key, float] = defaultdict(float)
    for family in text_string_to_metric_families("\n".join(_wanted_lines(text)) + "\n"):
        for sample in family.samples:
            wanted = _BY_SAMPLE.get(sample.name)
            if wanted is None or sample.labels.get("kind") == UNTOLD_WAIT:
                continue
            detail = sample.labels.get(wanted.detail, "") if wanted.detail else ""
            values[Key(wanted.metric.name, sample.labels.get("queue", ""), detail)] += sample.value
    return dict(values)


def counters(values: Values) -> Values:
    """Those that only grow, while their process lives."""
    return {key: value for key, value in values.items() if key.metric in _COUNTERS}


def _wanted_lines(text: str) -> Iterator[str]:
    """Lines of wanted samples: the parser takes its time, and most of a page is of no use here."""
    for line in text.splitlines():
        if line.partition("{")[0].partition(" ")[0] in _BY_SAMPLE:
            yield line
