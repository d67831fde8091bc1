"""From two scrapes to rates and quantiles: growth, restarts, buckets."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lane_metrics import attempts, gauges, sample, values, waits
from laneway.observability import catalogue
from laneway.observability.lanes.difference import (
    Scrape,
    added,
    growth,
    merged,
    quantile,
    quantiles_by_lane,
    rates,
)
from laneway.observability.lanes.samples import Key
from laneway.observability.metrics import Metrics, metrics_payload

pytestmark = pytest.mark.unit

OK = Key("laneway_attempts_total", "documents", "success")
FAILED = Key("laneway_attempts_total", "documents", "failure")
READY = Key("laneway_queue_depth", "documents")


def test_what_metrics_serve_is_read_back_with_tasks_summed():
    metrics = Metrics(tasks=["a.b", "c.d"])
    for task, count in (("a.b", 3), ("c.d", 4)):
        metrics.attempts.inc(count, queue="documents", task=task, outcome="success")
    metrics.queue_wait.observe(0.3, queue="documents", kind="first")
    text = metrics_payload(metrics.registry, None)[0].decode()

    found = values(text)

    assert found[OK] == 7
    buckets = {
        key.detail: n for key, n in found.items() if key.metric == "laneway_queue_wait_seconds"
    }
    assert (buckets["0.25"], buckets["0.5"], buckets["+Inf"]) == (0, 1, 1)


def test_priorities_of_a_lane_are_summed_and_a_lane_without_them_is_read_too():
    by_priority = [
        sample(catalogue.QUEUE_DEPTH, ready, queue="documents", priority=step)
        for ready, step in ((2, 0), (5, 3))
    ]
    assert values(*by_priority)[READY] == 7
    assert values(sample(catalogue.QUEUE_DEPTH, 4, queue="documents"))[READY] == 4


def test_waits_counted_from_the_claim_are_left_out():
    found = values(waits("documents", [20.0]), waits("documents", [0.001] * 99, kind="claimed"))
    p95_s = quantiles_by_lane(0.95, found, "laneway_queue_wait_seconds")
    assert p95_s["documents"] > 10


def test_other_metrics_are_skipped_and_a_page_that_is_none_is_told():
    assert values("python_gc_total 3\nlaneway_wrong 1\n") == {}
    with pytest.raises(ValueError, match="could not convert"):
        values("laneway_queue_depth nonsense\n")


def test_growth_is_the_difference_of_counters_and_knows_no_gauges():
    before = values(attempts("documents", success=10), gauges("documents", ready=5))
    after = values(attempts("documents", success=14, failure=2), gauges("documents", ready=3))
    assert growth(before, after) == {OK: 4, FAILED: 2}


def test_a_counter_that_fell_means_that_all_of_its_process_began_anew():
    before = values(attempts("documents", success=10, failure=1))
    after = values(attempts("documents", success=3, failure=2))
    # The failures grew, but they are those of another life as well.
    assert growth(before, after) == {OK: 3, FAILED: 2}


def test_a_counter_that_vanished_means_a_new_process_too():
    before = values(attempts("documents", success=10, failure=4))
    assert growth(before, values(attempts("documents", success=12))) == {OK: 12}


def test_rates_are_per_second_over_all_scrapes_also_beyond_a_restart():
    counts = [10, 20, 5, 15]
    scrapes = [
        Scrape(values(attempts("documents", success=n)), 2.0 * at) for at, n in enumerate(counts)
    ]
    assert rates(scrapes)[OK] == pytest.approx((10 + 5 + 10) / 6)


def test_one_scrape_tells_no_rates():
    assert rates([Scrape(values(attempts("documents", success=10)), 1.0)]) == {}
    assert rates([]) == {}


@given(st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=5), min_size=1, max_size=4))
def test_what_lives_count_is_never_lost_nor_negative(lives):
    """Each life counts up from nothing; growth over all of them is at most what they did."""
    shown = [sum(life[: at + 1]) for life in lives for at in range(len(life))]
    scrapes = [
        Scrape(values(attempts("documents", success=n)), float(at)) for at, n in enumerate(shown)
    ]
    if len(scrapes) < 2:
        return
    grown = rates(scrapes).get(OK, 0.0) * (len(scrapes) - 1)
    assert -1e-9 <= grown <= sum(map(sum, lives)) - shown[0] + 1e-9


def test_endpoints_add_up_as_their_metrics_mean():
    one = values(gauges("documents", ready=7, busy=1, idle=1), attempts("documents", success=1))
    two = values(gauges("documents", ready=9, busy=2, idle=0), attempts("documents", success=2))
    down = values(sample(catalogue.BROKER_UP, 0))
    now = merged([one, two, down])
    assert now[READY] == 9, "both read the same lane"
    assert now[Key("laneway_slots", "documents", "busy")] == 3, "each has slots of its own"
    assert now[Key("laneway_broker_up", "")] == pytest.approx(2 / 3)
    assert OK not in now
    assert added([one, two])[OK] == 3


def test_quantiles_lie_evenly_inside_a_bucket():
    assert quantile(0.5, {1.0: 10.0, 2.0: 20.0, math.inf: 20.0}) == pytest.approx(1.0)
    assert quantile(0.95, {1.0: 10.0, 2.0: 20.0, math.inf: 20.0}) == pytest.approx(1.9)
    assert quantile(0.95, {10.0: 0.0, 30.0: 4.0, math.inf: 4.0}) == pytest.approx(29.0)


def test_a_quantile_beyond_the_last_bound_is_that_bound_and_of_nothing_none():
    assert quantile(0.95, {1.0: 1.0, 3_600.0: 2.0, math.inf: 100.0}) == 3_600.0
    assert quantile(0.95, {1.0: 0.0, math.inf: 0.0}) is None
    assert quantile(0.95, {}) is None


@given(st.lists(st.floats(0, 3_000), min_size=1, max_size=60))
def test_the_p95_lies_in_the_bucket_of_the_value_that_it_tells_of(seconds):
    found = quantiles_by_lane(
        0.95, values(waits("documents", seconds)), "laneway_queue_wait_seconds"
    )
    exact = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    bounds = [0.0, *catalogue.QUEUE_WAIT.buckets]
    above = next(bound for bound in bounds if bound >= exact) or bounds[1]
    below = max(bound for bound in bounds if bound < above)
    assert below - 1e-9 <= found["documents"] <= above + 1e-9
    assert found[""] == found["documents"]


def test_the_p95_of_all_lanes_is_of_all_their_waits():
    found = quantiles_by_lane(
        0.95,
        values(waits("documents", [20.0]), waits("mail", [0.02] * 99)),
        "laneway_queue_wait_seconds",
    )
    assert found["documents"] > 10
    assert found["mail"] < 0.1
    assert found[""] < 0.1
