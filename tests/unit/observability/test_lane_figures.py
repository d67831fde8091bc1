"""From samples to a lane's figures and troubles, and the same out of Prometheus."""

from collections import Counter

import promql_parser
import pytest

from lane_metrics import attempts, gauges, sample, values, waits
from laneway.observability import catalogue
from laneway.observability.catalogue import CATALOGUE
from laneway.observability.lanes.difference import quantiles_by_lane
from laneway.observability.lanes.figures import (
    CLASSES,
    Picture,
    held,
    lane_figures,
    totals,
)
from laneway.observability.lanes.prometheus import UnusableAnswer, lanes_query, read_answer
from laneway.observability.lanes.samples import counters
from laneway.observability.outcomes import Outcome

pytestmark = pytest.mark.unit


def picture(now, grown="", *, before="", window_s=20.0):
    """What was seen, `grown` in the window's seconds."""
    found = {key: value / window_s for key, value in counters(values(grown)).items()}
    waited = quantiles_by_lane(0.95, values(grown), "laneway_queue_wait_seconds")
    return Picture(values(now), found, None, waited, held(values(before or now)), window_s)


def only(seen, lane="documents"):
    return lane_figures(seen)[lane]


def test_figures_of_a_lane():
    now = gauges("documents", ready=7, flight=2, delayed=3, busy=2, idle=1, dead=4, oldest_s=1.5)
    lane = only(picture(now, attempts("documents", success=30, retry=6, failure=4)))
    assert (lane.ready, lane.in_flight, lane.delayed, lane.dead_letters) == (7, 2, 3, 4)
    assert (lane.workers, lane.slots_busy, lane.slots) == (1, 2, 3)
    assert (lane.oldest_age_s, lane.start_within_s) == (1.5, 5)
    assert lane.ended_per_s == {"ok": 1.5, "retry": 0.3, "error": 0.2, "killed": 0, "dropped": 0}
    assert lane.failed_ratio == pytest.approx(0.1)


def test_every_outcome_has_its_class_and_an_unknown_one_is_not_lost():
    outcomes = {outcome.value: 20 for outcome in Outcome} | {"of_tomorrow": 20}
    lane = only(picture(gauges("documents"), attempts("documents", **outcomes)))
    expected = Counter(outcome.outcome_class for outcome in Outcome)
    assert lane.ended_per_s == {**{name: expected[name] for name in CLASSES}, "dropped": 6}


def test_what_came_is_what_left_for_good_and_what_more_is_held():
    before = gauges("documents", ready=10, flight=2, delayed=0)
    now = gauges("documents", ready=16, flight=2, delayed=4)
    ended = attempts("documents", success=50, retry=9, worker_lost=3, failure=10)
    # Retried and lost attempts have their message come back: it has not left.
    assert only(picture(now, ended, before=before)).arrived_per_s == pytest.approx((60 + 10) / 20)


def test_arrivals_are_not_told_over_less_than_the_backlog_takes_to_be_read_anew():
    assert only(picture(gauges("documents"), window_s=5.0)).arrived_per_s is None
    assert only(picture(gauges("documents"), window_s=20.0)).arrived_per_s == 0


def test_a_first_frame_has_counts_and_no_rates():
    seen = Picture(values(gauges("documents")), None, values(attempts("documents", success=9)), {})
    lane = only(seen)
    assert (lane.ended_per_s, lane.arrived_per_s) == (None, None)
    assert lane.ended_since_start is not None
    assert lane.ended_since_start["ok"] == 9


def test_without_leases_those_that_consume_are_the_workers():
    without = "".join(
        line + "\n" for line in gauges("documents").splitlines() if "queue_workers" not in line
    )
    assert only(picture(without)).workers == 1


def test_totals_are_sums_but_for_ages_and_quantiles():
    now = gauges("documents", ready=7, oldest_s=3.0) + gauges("mail", ready=1, oldest_s=9.0)
    grown = attempts("documents", success=20) + attempts("mail", failure=20)
    grown += waits("documents", [20.0]) + waits("mail", [0.02] * 99)
    seen = picture(now, grown)
    total = totals(seen, list(lane_figures(seen).values()))
    assert (total.ready, total.workers, total.oldest_age_s) == (8, 2, 9.0)
    assert total.failed_ratio == pytest.approx(0.5)
    assert total.wait_p95_s is not None
    assert total.wait_p95_s < 0.1


def test_nothing_known_is_none_and_not_nought():
    lane = lane_figures(Picture({}), ["documents"])["documents"]
    assert (lane.ready, lane.workers, lane.slots, lane.failed_ratio) == (None, None, None, None)
    assert lane.troubles == ("no data",)


@pytest.mark.parametrize(
    ("now", "grown", "troubles"),
    [
        (gauges("documents", ready=3, busy=2), "", ()),
        (gauges("documents", ready=3, workers=0), "", ("no worker",)),
        (gauges("documents", ready=0, workers=0), "", ()),
        (gauges("documents", ready=3, oldest_s=11), "", ("stuck", "late")),
        (gauges("documents", ready=3, busy=1, oldest_s=11), "", ("late",)),
        (gauges("documents"), waits("documents", [9.0]), ("late",)),
        (gauges("documents"), waits("documents", [0.2]), ()),
        (gauges("documents"), attempts("documents", success=8, hard_timeout=2), ("failing",)),
        (gauges("documents"), attempts("documents", success=98, failure=2), ()),
        (gauges("documents"), attempts("documents", revoked=9), ()),
        (
            gauges("documents", dead=1),
            sample(catalogue.DEAD_LETTERED, 1, queue="documents", reason="delivery limit"),
            ("new dead letters",),
        ),
        (
            gauges("documents")
            .replace(
                'laneway_consuming{queue="documents"} 1', 'laneway_consuming{queue="documents"} 0'
            )
            .replace(
                'laneway_draining{queue="documents"} 0', 'laneway_draining{queue="documents"} 1'
            ),
            "",
            ("draining",),
        ),
    ],
)
def test_troubles(now, grown, troubles):
    assert only(picture(now, grown)).troubles == troubles


def selectors(expression):
    """Every series that an expression names."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for name in ("lhs", "rhs", "expr", "vs", "vector_selector"):
        inner = getattr(expression, name, None)
        if inner is not None:
            yield from selectors(inner)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


def test_the_query_is_promql_and_names_only_what_the_catalogue_has():
    expression = promql_parser.parse(lanes_query(120, 'namespace="prod"'))
    found = list(selectors(expression))
    known = {metric.name for metric in CATALOGUE}
    assert {each.name.removesuffix("_bucket") for each in found} <= known
    assert len({each.name for each in found}) == 14
    assert all('namespace="prod"' in str(each) for each in found)


def row(part, value, **labels):
    return {"metric": {"part": part, **labels}, "value": [1_700_000_000.0, str(value)]}


def test_the_answer_of_prometheus_makes_the_same_figures():
    answer = {
        "status": "success",
        "data": {
            "resultType": "vector",
            "result": [
                row("laneway_queue_depth", 30, queue="documents"),
                row("before:laneway_queue_depth", 6, queue="documents"),
                row("laneway_queue_oldest_age_seconds", 2.5, queue="documents"),
                row("laneway_slots", 2, queue="documents", state="busy"),
                row("laneway_slots", 1, queue="documents", state="idle"),
                row("laneway_attempts_total", 1.5, queue="documents", outcome="success"),
                row("laneway_attempts_total", 0.5, queue="documents", outcome="failure"),
                row("wait_p95", 4.2, queue="documents"),
                row("wait_p95", "NaN", queue="mail"),
                row("wait_p95_all", 4.1),
                row("laneway_broker_up", 0.5),
            ],
        },
    }
    seen = read_answer(answer, 120)
    lane = only(seen)
    assert set(lane_figures(seen)) == {"documents"}
    assert (lane.ready, lane.slots_busy, lane.slots, lane.wait_p95_s) == (30, 2, 3, 4.2)
    assert lane.arrived_per_s == pytest.approx(2.0 + 24 / 120)
    assert lane.failed_ratio == pytest.approx(0.25)
    assert lane.ended_since_start is None
    assert totals(seen, [lane]).wait_p95_s == 4.1
    assert seen.broker_up_ratio == 0.5


@pytest.mark.parametrize("answer", [{}, [], None, {"data": {"result": [{"metric": {}}]}}])
def test_an_answer_that_is_none_is_told(answer):
    with pytest.raises(UnusableAnswer):
        read_answer(answer, 120)
