"""The figures of lanes at one moment, wherever their samples came from."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from laneway.observability import catalogue
from laneway.observability.lanes.samples import Values
from laneway.observability.metric import Metric
from laneway.observability.outcomes import Outcome, OutcomeClass

CLASSES: tuple[OutcomeClass, ...] = ("ok", "retry", "error", "killed", "dropped")
TOTAL = "total"
WAIT_SHARE = 0.95

HELD = (catalogue.QUEUE_DEPTH, catalogue.QUEUE_UNACKED, catalogue.QUEUE_DELAYED)
"""What a lane holds: ready, in flight and delayed."""

FAILING_RATIO = 0.1
"""A lane of which more attempts fail is in trouble."""
STUCK_S = 10.0
"""A message this old on a lane whose slots are all free is not about to be taken."""
ARRIVALS_S = 10.0
"""Over less, arrivals are not told: what a lane holds is itself read every five seconds."""

ByClass = Mapping[OutcomeClass, float]


@dataclass(frozen=True)
class Picture:
    """What samples say, merged over endpoints.

    Args:
        now: Gauges.
        rates: Counters, a second; None in a first frame.
        counts: Counters since each process started; None if the source does not tell.
        wait_p95_s: By lane, "" for all of them.
        held_before: Messages by lane when the window began.
        window_s: What rates and quantiles are reckoned over; None is since start.
    """

    now: Values
    rates: Values | None = None
    counts: Values | None = None
    wait_p95_s: Mapping[str, float] | None = None
    held_before: Mapping[str, float] | None = None
    window_s: float | None = None

    @property
    def broker_up_ratio(self) -> float | None:
        """Share of endpoints that reach their broker."""
        told = [v for key, v in self.now.items() if key.metric == catalogue.BROKER_UP.name]
        return told[0] if told else None


@dataclass(frozen=True)
class Figures:
    """One lane, or all of them; None is what nothing tells."""

    lane: str
    ready: float | None = None
    in_flight: float | None = None
    delayed: float | None = None
    oldest_age_s: float | None = None
    wait_p95_s: float | None = None
    arrived_per_s: float | None = None
    ended_per_s: ByClass | None = None
    ended_since_start: ByClass | None = None
    failed_ratio: float | None = None
    dead_letters: float | None = None
    dead_lettered_per_s: float | None = None
    workers: float | None = None
    consuming: float | None = None
    draining: float | None = None
    slots_busy: float | None = None
    slots: float | None = None
    start_within_s: float | None = None
    troubles: tuple[str, ...] = ()


def lane_figures(picture: Picture, expected: Iterable[str] = ()) -> dict[str, Figures]:
    """The figures of each lane that was seen or is expected, in no order of meaning."""
    now, grown = _Lanes(picture.now), _Lanes(picture.rates or {})
    counts = _Lanes(picture.counts or {})
    lanes = {*expected, *now.names(), *grown.names(), *counts.names()}
    return {lane: _lane(lane, picture, (now, grown, counts)) for lane in lanes}


def held(values: Values) -> Mapping[str, float]:
    """Messages by lane: ready, in flight or delayed."""
    found: dict[str, float] = defaultdict(float)
    for key, value in values.items():
        if key.metric in _HELD_NAMES:
            found[key.lane] += value
    return dict(found)


def totals(picture: Picture, lanes: Sequence[Figures]) -> Figures:
    """All lanes as one: sums, and of the oldest age the largest."""
    per_s, since = _sums(f.ended_per_s for f in lanes), _sums(f.ended_since_start for f in lanes)
    ages = [f.oldest_age_s for f in lanes if f.oldest_age_s is not None]
    return Figures(
        lane=TOTAL,
        ready=_sum(f.ready for f in lanes),
        in_flight=_sum(f.in_flight for f in lanes),
        delayed=_sum(f.delayed for f in lanes),
        oldest_age_s=max(ages, default=None),
        wait_p95_s=(picture.wait_p95_s or {}).get(""),
        arrived_per_s=_sum(f.arrived_per_s for f in lanes),
        ended_per_s=per_s,
        ended_since_start=since,
        failed_ratio=_failed(per_s or since),
        dead_letters=_sum(f.dead_letters for f in lanes),
        dead_lettered_per_s=_sum(f.dead_lettered_per_s for f in lanes),
        workers=_sum(f.workers for f in lanes),
        consuming=_sum(f.consuming for f in lanes),
        draining=_sum(f.draining for f in lanes),
        slots_busy=_sum(f.slots_busy for f in lanes),
        slots=_sum(f.slots for f in lanes),
    )


class _Lanes:
    """Values by lane, metric and detail."""

    def __init__(self, values: Values) -> None:
        self._found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
        for key, value in values.items():
            self._found[key.lane][key.metric][key.detail] = value

    def names(self) -> set[str]:
        return {lane for lane in self._found if lane}

    def details(self, lane: str, metric: Metric) -> Mapping[str, float]:
        return self._found.get(lane, {}).get(metric.name, {})

    def number(self, lane: str, metric: Metric) -> float | None:
        found = self.details(lane, metric)
        return sum(found.values()) if found else None


def _lane(lane: str, picture: Picture, lanes: tuple[_Lanes, _Lanes, _Lanes]) -> Figures:
    now, grown, counts = lanes
    slots = now.details(lane, catalogue.SLOTS)
    leased = now.number(lane, catalogue.QUEUE_WORKERS)
    consuming = now.number(lane, catalogue.CONSUMING)
    outcomes = grown.details(lane, catalogue.ATTEMPTS)
    per_s = None if picture.rates is None else _by_class(outcomes)
    since = None if picture.counts is None else _by_class(counts.details(lane, catalogue.ATTEMPTS))
    figures = Figures(
        lane=lane,
        ready=now.number(lane, catalogue.QUEUE_DEPTH),
        in_flight=now.number(lane, catalogue.QUEUE_UNACKED),
        delayed=now.number(lane, catalogue.QUEUE_DELAYED),
        oldest_age_s=now.number(lane, catalogue.QUEUE_OLDEST_AGE),
        wait_p95_s=(picture.wait_p95_s or {}).get(lane),
        arrived_per_s=_arrived(lane, picture, outcomes),
        ended_per_s=per_s,
        ended_since_start=since,
        failed_ratio=_failed(per_s or since),
        dead_letters=now.number(lane, catalogue.DEAD_LETTERS),
        dead_lettered_per_s=grown.number(lane, catalogue.DEAD_LETTERED),
        # Without leases, as on Celery's own transport: those that say that they consume.
        workers=consuming if leased is None else leased,
        consuming=consuming,
        draining=now.number(lane, catalogue.DRAINING),
        slots_busy=slots.get("busy", 0.0) if slots else None,
        slots=sum(slots.values()) if slots else None,
        start_within_s=now.details(lane, catalogue.SLO_THRESHOLD).get("start"),
    )
    troubles = tuple(word for word, told in _TROUBLES.items() if told(figures))
    return replace(figures, troubles=troubles)


def _arrived(lane: str, picture: Picture, outcomes: Mapping[str, float]) -> float | None:
    """Messages that came, a second: what left for good, and by how much more is held now.

    Producers are many, and most of them serve no metrics.
    """
    if picture.rates is None or picture.held_before is None or not picture.window_s:
        return None
    if picture.window_s < ARRIVALS_S:
        return None
    after = held({key: v for key, v in picture.now.items() if key.lane == lane})
    if lane not in after or lane not in picture.held_before:
        return None
    left = sum(value for outcome, value in outcomes.items() if _is_final(outcome))
    return max(0.0, left + (after[lane] - picture.held_before[lane]) / picture.window_s)


def _by_class(outcomes: Mapping[str, float]) -> ByClass:
    found = dict.fromkeys(CLASSES, 0.0)
    for outcome, value in outcomes.items():
        found[_class(outcome)] += value
    return found


def _class(outcome: str) -> OutcomeClass:
    # A newer worker may know an outcome that is not known here.
    return Outcome(outcome).outcome_class if outcome in _OUTCOMES else "dropped"


def _is_final(outcome: str) -> bool:
    return outcome not in _OUTCOMES or Outcome(outcome).is_final


def _failed(ended: ByClass | None) -> float | None:
    """Share of the attempts that were judged; None if there was none."""
    judged = sum(value for name, value in (ended or {}).items() if name != "dropped")
    return ((ended or {})["error"] + (ended or {})["killed"]) / judged if judged else None


def _sum(values: Iterable[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return sum(told) if told else None


def _sums(several: Iterable[ByClass | None]) -> ByClass | None:
    told = [ended for ended in several if ended is not None]
    return {name: sum(e[name] for e in told) for name in CLASSES} if told else None


def _without_worker(lane: Figures) -> bool:
    # A lane scaled to nothing that holds nothing is as it should be.
    return lane.workers == 0 and bool(lane.ready or lane.delayed or lane.in_flight)


def _stuck(lane: Figures) -> bool:
    waits = bool(lane.ready) and (lane.oldest_age_s or 0.0) >= STUCK_S
    return waits and bool(lane.workers) and bool(lane.slots) and lane.slots_busy == 0


def _late(lane: Figures) -> bool:
    slowest_s = max(lane.oldest_age_s or 0.0, lane.wait_p95_s or 0.0)
    return lane.start_within_s is not None and slowest_s > lane.start_within_s


_TROUBLES: dict[str, Callable[[Figures], bool]] = {
    "no data": lambda lane: lane.ready is None and lane.slots is None,
    "no worker": _without_worker,
    "stuck": _stuck,
    "late": _late,
    "failing": lambda lane: (lane.failed_ratio or 0.0) >= FAILING_RATIO,
    "new dead letters": lambda lane: bool(lane.dead_lettered_per_s),
    "draining": lambda lane: bool(lane.draining) and not lane.consuming,
}
"""What may be wrong with a lane, the worst first."""

_HELD_NAMES = {metric.name for metric in HELD}
_OUTCOMES = frozenset(outcome.value for outcome in Outcome)
