"""Recording rules. Their names are a contract: dashboards, alerts and the scaler may use them."""

from collections.abc import Iterator
from dataclasses import dataclass

from laneway.observability.mixin.promql import (
    ARRIVALS,
    DEPTH,
    LAST_SUCCESS,
    OBJECTIVE,
    SERVICE,
    SLO_ERRORS,
    SLO_EVENTS,
    SUCCESS_GAP,
    TASK,
    UTILISATION,
    WAITING,
    most,
    rate,
    total,
)

EVALUATION_S = 30
"""How often rules are evaluated. Counts over days are made of it, so the groups fix it."""

RAW_WINDOWS = ("5m", "30m", "1h", "2h", "6h")
LONG_WINDOWS = ("1d", "3d")
"""Windows over which raw counters of all pods, those that are gone included, would cost too much."""


@dataclass(frozen=True)
class RecordingRule:
    """A series that Prometheus keeps of an expression."""

    record: str
    expr: str


@dataclass(frozen=True)
class RuleGroup:
    """Rules that are evaluated in this order, each seeing what those before it made."""

    name: str
    rules: tuple[RecordingRule, ...]


def slo_events(slo: str, window: str) -> str:
    """How many tasks counted for or against an objective within the window."""
    events = f'laneway_slo_events_total{{slo="{slo}"}}'
    if window not in LONG_WINDOWS:
        return f"sum by ({OBJECTIVE}) (increase({events}[{window}]))"
    recorded = f'{SLO_EVENTS}{{slo="{slo}"}}'
    # An average times the window would count the hours in which the lane had no pod as busy ones.
    return f"{EVALUATION_S} * sum by ({OBJECTIVE}) (sum_over_time({recorded}[{window}]))"


def _lanes() -> Iterator[RecordingRule]:
    yield RecordingRule(
        DEPTH, total(most("laneway_queue_depth", "namespace, queue, priority"), "namespace, queue")
    )
    yield RecordingRule(WAITING, f"{DEPTH} + {most('laneway_queue_delayed')}")
    yield RecordingRule(SERVICE, rate("laneway_attempts_total", "5m"))
    yield RecordingRule(
        UTILISATION,
        f"{rate('laneway_slot_busy_seconds_total', '5m')}\n/ ({total('laneway_slots')} > 0)",
    )
    # What came is what ended plus what more there is to do: it holds for any producer.
    yield RecordingRule(
        ARRIVALS,
        f"clamp_min(\n  ({SERVICE} or 0 * {WAITING}) + deriv({WAITING}[5m]),\n  0\n)",
    )
    yield RecordingRule(
        "queue:laneway_drain_eta:seconds", f"{DEPTH}\n/ (({SERVICE} - {ARRIVALS}) > 0)"
    )


def _objectives() -> Iterator[RecordingRule]:
    yield RecordingRule(SLO_EVENTS, rate("laneway_slo_events_total", "5m", f"{OBJECTIVE}, result"))
    for window in RAW_WINDOWS:
        bad = rate('laneway_slo_events_total{result="bad"}', window, OBJECTIVE)
        every = rate("laneway_slo_events_total", window, OBJECTIVE)
        yield RecordingRule(SLO_ERRORS + window, _ratio(bad, every))
    for window in LONG_WINDOWS:
        bad = f'sum by ({OBJECTIVE}) (sum_over_time({SLO_EVENTS}{{result="bad"}}[{window}]))'
        every = f"sum by ({OBJECTIVE}) (sum_over_time({SLO_EVENTS}[{window}]))"
        yield RecordingRule(SLO_ERRORS + window, _ratio(bad, every))


def _ratio(bad: str, every: str) -> str:
    # Nothing bad is a ratio of 0; nothing at all is none, where 0 / 0 would be no number.
    return f"({bad} or 0 * {every})\n/ ({every} > 0)"


def _schedules() -> Iterator[RecordingRule]:
    yield RecordingRule(LAST_SUCCESS, most("laneway_last_success_timestamp_seconds", TASK))
    # Only there for five minutes after a success. Two days bridge pods that come and go.
    yield RecordingRule(
        SUCCESS_GAP, f"{LAST_SUCCESS} - max_over_time({LAST_SUCCESS}[2d] offset 5m) > 0"
    )


RULE_GROUPS = (
    RuleGroup("laneway.lanes", tuple(_lanes())),
    RuleGroup("laneway.objectives", tuple(_objectives())),
    RuleGroup("laneway.schedules", tuple(_schedules())),
)
