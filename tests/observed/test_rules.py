"""What recording rules make of series, by Prometheus itself."""

from collections.abc import Callable

import pytest

from observed.alert_case import LANE, STEP, lane, process, task

pytestmark = pytest.mark.observed

Check = Callable[..., None]


def recorded(series: dict[str, str], at: str, record: str, *values: tuple[dict[str, str], float]):
    """A unit test of one rule, whose samples have the lane's labels and those given."""
    samples = []
    for labels, value in values:
        listed = ", ".join(f'{name}="{label}"' for name, label in {**LANE, **labels}.items())
        samples.append({"labels": f"{record}{{{listed}}}", "value": value})
    return {
        "interval": STEP,
        "input_series": [{"series": name, "values": each} for name, each in series.items()],
        "promql_expr_test": [{"expr": record, "eval_time": at, "exp_samples": samples}],
    }


def slots(busy: int, idle: int, *pods: str) -> dict[str, str]:
    return {
        lane("slots", pod, state=state): f"{count}x60"
        for pod in pods
        for state, count in (("busy", busy), ("idle", idle))
    }


def test_a_backlog_that_many_pods_read_is_one(check_rules: Check) -> None:
    series = {
        lane("queue_depth", pod, priority=priority): f"{depth}x60"
        for pod in ("w1", "w2", "g1")
        for priority, depth in (("0", 4), ("3", 0), ("6", 0), ("9", 1))
    }
    series |= {lane("queue_delayed", pod): "7x60" for pod in ("w1", "w2", "g1")}

    check_rules(
        recorded(series, "5m", "queue:laneway_depth:sum", ({}, 5)),
        recorded(series, "5m", "queue:laneway_waiting:sum", ({}, 12)),
    )


def test_slots_of_pods_add_up(check_rules: Check) -> None:
    series = slots(3, 1, "w1", "w2") | {
        lane("slot_busy_seconds_total", pod): "0+90x60" for pod in ("w1", "w2")
    }

    check_rules(recorded(series, "10m", "queue:laneway_utilisation:ratio5m", ({}, 0.75)))


def test_a_lane_without_a_slot_has_no_utilisation(check_rules: Check) -> None:
    series = slots(0, 0, "w1") | {lane("slot_busy_seconds_total"): "0x60"}

    check_rules(recorded(series, "10m", "queue:laneway_utilisation:ratio5m"))


DRAINING = {
    # Of 3,600 waiting, 60 are run and 30 come in each half minute.
    lane("queue_depth", priority="0"): "3600-30x100",
    lane("queue_delayed"): "0x100",
    task("attempts_total", outcome="success"): "0+60x100",
}


def test_arrivals_are_what_ended_and_what_was_added(check_rules: Check) -> None:
    check_rules(
        recorded(DRAINING, "10m", "queue:laneway_service:rate5m", ({}, 2)),
        recorded(DRAINING, "10m", "queue:laneway_arrivals:rate5m", ({}, 1)),
        recorded(DRAINING, "10m", "queue:laneway_drain_eta:seconds", ({}, 3000)),
    )


def test_a_lane_that_grows_has_no_time_of_drain(check_rules: Check) -> None:
    series = {**DRAINING, lane("queue_depth", priority="0"): "0+30x100"}

    check_rules(
        recorded(series, "10m", "queue:laneway_arrivals:rate5m", ({}, 3)),
        recorded(series, "10m", "queue:laneway_drain_eta:seconds"),
    )


def test_arrivals_are_known_without_any_worker(check_rules: Check) -> None:
    series = {
        lane("queue_depth", "g1", priority="0"): "0+30x100",
        lane("queue_delayed", "g1"): "0+15x100",
    }

    check_rules(recorded(series, "10m", "queue:laneway_arrivals:rate5m", ({}, 1.5)))


def test_a_restarted_worker_adds_no_arrivals(check_rules: Check) -> None:
    series = {
        **DRAINING,
        lane("queue_depth", priority="0"): "5x100",
        task("attempts_total", outcome="success"): "5000+60x15 60+60x80",
    }

    check_rules(recorded(series, "10m", "queue:laneway_service:rate5m", ({}, 2)))


@pytest.mark.parametrize("window", ["5m", "30m", "1h", "2h", "6h", "1d", "3d"])
def test_errors_are_a_share_of_all_tasks(check_rules: Check, window: str) -> None:
    series = {
        lane("slo_events_total", "w1", slo="start", result="good"): "0+30x100",
        lane("slo_events_total", "w2", slo="start", result="bad"): "0+10x100",
        # Nothing bad has happened yet, and no series says so.
        lane("slo_events_total", "w1", slo="success", result="good"): "0+30x100",
        # Nothing has happened at all.
        lane("slo_events_total", "w1", slo="finish", result="good"): "0x100",
    }

    check_rules(
        recorded(
            series,
            "30m",
            f"queue:laneway_slo_errors:ratio_rate{window}",
            ({"slo": "start"}, 0.25),
            ({"slo": "success"}, 0),
        )
    )


def test_the_gap_of_a_schedule_is_told_at_each_success(check_rules: Check) -> None:
    series = {
        task("last_success_timestamp_seconds"): "0x19 600x19 1200x100",
        process("build_info"): "1x100",
    }
    own = {"task": "docs.read"}

    check_rules(
        recorded(series, "21m", "task:laneway_success_gap:seconds", (own, 600)),
        recorded(series, "35m", "task:laneway_success_gap:seconds"),
    )
