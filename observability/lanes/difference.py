"""What happened between scrapes: growth of counters, over restarts, and quantiles of it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from laneway.observability.lanes.samples import WANTED, Key, Values, counters

_MERGES = {wanted.metric.name: wanted.merge for wanted in WANTED}


@dataclass(frozen=True)
class Scrape:
    """What one endpoint said, and when by a steady clock."""

    values: Values
    at_s: float


def growth(before: Values, after: Values) -> Values:
    """By how much each counter of one process grew.

    One that fell tells that the process began anew, and with it all its counters: what they show
    then has all come since.
    """
    old, new = counters(before), counters(after)
    if any(new.get(key, 0.0) < value for key, value in old.items()):
        return new
    return {key: value - old.get(key, 0.0) for key, value in new.items()}


def rates(scrapes: Sequence[Scrape]) -> Values:
    """Growth a second of one endpoint's counters, over scrapes in their order; none of one alone."""
    elapsed_s = scrapes[-1].at_s - scrapes[0].at_s if scrapes else 0.0
    if elapsed_s <= 0:
        return {}
    steps = (growth(before.values, after.values) for before, after in pairwise(scrapes))
    return {key: value / elapsed_s for key, value in added(steps).items()}


def added(several: Iterable[Values]) -> Values:
    """The sum of each series over endpoints."""
    sums: dict[Key, float] = defaultdict(float)
    for values in several:
        for key, value in values.items():
            sums[key] += value
    return dict(sums)


def merged(several: Iterable[Values]) -> Values:
    """The gauges of several endpoints as one: see `Merge`."""
    found: dict[Key, list[float]] = defaultdict(list)
    for values in several:
        for key, value in values.items():
            found[key].append(value)
    result = {}
    for key, each in found.items():
        merge = _MERGES[key.metric]
        if merge == "max":
            result[key] = max(each)
        elif merge == "sum":
            result[key] = sum(each)
        elif merge == "mean":
            result[key] = sum(each) / len(each)
    return result


def quantile(share: float, buckets: Mapping[float, float]) -> float | None:
    """A quantile of a histogram's cumulative buckets, by upper bound, as Prometheus reckons it.

    Inside a bucket values are taken to lie evenly; beyond the largest bound there is but the bound.
    None if nothing was counted.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0.0
    if total <= 0:
        return None
    rank = share * total
    low, below = 0.0, 0.0
    for bound in bounds:
        reached = buckets[bound]
        if reached >= rank:
            if math.isinf(bound):
                return low
            inside = reached - below
            return low + (bound - low) * ((rank - below) / inside if inside > 0 else 1.0)
        low, below = bound, reached
    return low


def quantiles_by_lane(share: float, values: Values, metric: str) -> Mapping[str, float]:
    """The quantile of a histogram for each lane, and under "" for all; lanes without any left out."""
    lanes: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for key, value in values.items():
        if key.metric == metric:
            for lane in {key.lane, ""}:
                lanes[lane][float(key.detail)] += value
    found = {lane: quantile(share, buckets) for lane, buckets in lanes.items()}
    return {lane: value for lane, value in found.items() if value is not None}
