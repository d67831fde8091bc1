"""Cases of the alerts on error budgets: an objective of 99 %, so a budget of 1 %."""

from observed.alert_case import LANE, Case, absent, lane

KINDS = {
    "start": ("StartLatencyBurn", "start later than its waitTarget"),
    "finish": ("FinishLatencyBurn", "finish later than its finishTarget"),
    "success": ("SuccessBurn", "fail"),
}


def _objective(slo: str, good: str, bad: str) -> dict[str, str]:
    """Two pods that run the same, and say the same objective."""
    series = {}
    for pod in ("w1", "w2"):
        series[lane("slo_objective_ratio", pod, slo=slo)] = "0.99x600"
        series[lane("slo_events_total", pod, slo=slo, result="good")] = good
        series[lane("slo_events_total", pod, slo=slo, result="bad")] = bad
    return series


def _pages(slo: str) -> list[Case]:
    alert, what = KINDS[slo]
    told = {**LANE, "slo": slo}
    words = f"25% of the tasks of lane docs {what}. At this pace the budget of a month is gone within days."

    def case(
        kind: str,
        at: str,
        good: str,
        bad: str,
        labels: dict[str, str] | None = None,
        note: str = "",
    ) -> Case:
        series = _objective(slo, good, bad)
        return Case(alert, kind, at, series, labels, severity="page", note=note)

    return [
        Case(
            alert,
            "fires",
            "10m",
            _objective(slo, "0+15x100", "0+5x100"),
            told,
            f"Too many tasks of lane docs {what}",
            words,
            "page",
        ),
        case("fires", "4h", "0+90x500", "0+10x500", told, "six-hours"),
        case("silent", "30m", "0+97x100", "0+3x100"),
        case("silent", "30m", "0x100", "0x5 1x5 2x90", note="four-tasks-in-all"),
        case("silent", "100m", "0+15x100 1515+20x150", "0+5x100 505x150", note="over-by-now"),
        absent(alert, "page"),
        case("reset", "30m", "900+15x30 0+15x70", "300+5x30 0+5x70", told, "goes-on"),
        case("reset", "30m", "900+99x30 0+99x70", "900+1x30 0+1x70", note="of-old-errors"),
    ]


def _tickets(slo: str) -> list[Case]:
    alert, what = KINDS[slo]

    def fires(good: str, bad: str, share: str, note: str) -> Case:
        return Case(
            alert,
            "fires",
            "60m",
            _objective(slo, good, bad),
            {**LANE, "slo": slo},
            f"Too many tasks of lane docs {what}",
            f"{share} of the tasks of lane docs {what}. At this pace the budget of a month does not "
            "last the month.",
            note=note,
        )

    return [
        fires("0+95x200", "0+5x200", "5%", "three-times-as-fast"),
        fires("0+98x200", "0+2x200", "2%", "as-fast"),
        Case(alert, "silent", "60m", _objective(slo, "0+995x200", "0+5x200")),
        Case(
            alert,
            "silent",
            "60m",
            _objective(slo, "0x200", "0x9 1x9 2x180"),
            note="four-tasks-in-all",
        ),
        absent(alert),
        Case(alert, "reset", "60m", _objective(slo, "9+995x50 0+995x150", "9+5x50 0+5x150")),
    ]


BURN_CASES = [case for slo in KINDS for case in (*_pages(slo), *_tickets(slo))]
