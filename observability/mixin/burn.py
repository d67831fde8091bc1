"""Alerts on error budgets: how fast tasks miss what the lane's catalogue entry promises.

Windows and factors are those of Google's SRE workbook for a budget of 30 days. Objectives are
exported by the workers, so that a lane that an operator adds has its alerts without a new rule.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from laneway.observability.mixin.alert import Alert, Severity
from laneway.observability.mixin.promql import OBJECTIVE, SLO_ERRORS, most
from laneway.observability.mixin.rules import slo_events

FEWEST_EVENTS = 20
"""Tasks in the long window below which nothing is told: one bad task of three is no trend."""


@dataclass(frozen=True)
class _Burn:
    """A long window shows that it matters, a short one that it still goes on."""

    long: str
    short: str
    factor: float


BURNS: dict[Severity, tuple[_Burn, ...]] = {
    "page": (_Burn("1h", "5m", 14.4), _Burn("6h", "30m", 6)),
    "ticket": (_Burn("1d", "2h", 3), _Burn("3d", "6h", 1)),
}
LASTING: dict[Severity, str] = {"page": "2m", "ticket": "15m"}
PACE: dict[Severity, str] = {
    "page": "At this pace the budget of a month is gone within days.",
    "ticket": "At this pace the budget of a month does not last the month.",
}
KINDS = {
    "start": ("StartLatencyBurn", "start later than its waitTarget"),
    "finish": ("FinishLatencyBurn", "finish later than its finishTarget"),
    "success": ("SuccessBurn", "fail"),
}


def burn_alerts() -> Iterator[Alert]:
    """Each objective, as a page and as a ticket."""
    for slo, (name, what) in KINDS.items():
        for severity, burns in BURNS.items():
            yield Alert(
                name,
                severity,
                expr="\nor\n".join(_burning(slo, burn) for burn in burns),
                lasting=LASTING[severity],
                summary=f"Too many tasks of lane {{{{ $labels.queue }}}} {what}",
                description=(
                    "{{ $value | humanizePercentage }} of the tasks of lane {{ $labels.queue }} "
                    f"{what}. {PACE[severity]}"
                ),
                dashboard="laneway-overview",
            )


def _burning(slo: str, burn: _Burn) -> str:
    objective = most(f'laneway_slo_objective_ratio{{slo="{slo}"}}', OBJECTIVE)
    too_much = f"> on ({OBJECTIVE}) {burn.factor:g} * (1 - {objective})"
    return (
        "(\n"
        f'  {SLO_ERRORS}{burn.long}{{slo="{slo}"}}\n    {too_much}\n'
        f'  and on ({OBJECTIVE}) {SLO_ERRORS}{burn.short}{{slo="{slo}"}}\n    {too_much}\n'
        f"  and on ({OBJECTIVE}) {slo_events(slo, burn.long)} > {FEWEST_EVENTS}\n"
        ")"
    )
