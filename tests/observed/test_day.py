"""A real Prometheus that scraped a day of load and faults knows every metric of the catalogue."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from laneway.observability.catalogue import CATALOGUE
from laneway.observability.metric import Metric
from observed.day import LANES, live_a_day, platform_at_work, watched
from observed.panels import empty_panels
from observed.servers import Prometheus, running_collector, window
from worker_harness import wait_for

pytestmark = [pytest.mark.observed, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def day(prometheus: Path, otelcol: Path, module_redis, tmp_path_factory) -> Iterator[Prometheus]:
    """A Prometheus at the end of the day."""
    folder = tmp_path_factory.mktemp("day")
    with (
        running_collector(otelcol, folder / "collector") as collector,
        platform_at_work(module_redis, folder, LANES, collector.url) as platform,
        watched(platform, prometheus) as server,
    ):
        live_a_day(platform)
        wait_for(lambda: server.up() >= len(platform.targets), "a last scrape")
        yield server


def _sample(metric: Metric) -> str:
    return f"{metric.name}_count" if metric.kind == "histogram" else metric.name


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_every_metric_was_scraped(day, metric):
    assert day.query(f"present_over_time({_sample(metric)}[10m])") != []


def test_waits_and_runs_have_exemplars_that_lead_to_a_trace(day):
    for name in ("laneway_queue_wait_seconds_bucket", "laneway_attempt_duration_seconds_bucket"):
        found = day.get("query_exemplars", query=name, start="0", end="9999999999")
        labels = [e["labels"] for series in found for e in series["exemplars"]]
        assert labels
        assert all(len(each["trace_id"]) == 32 for each in labels)


def test_no_panel_of_any_dashboard_is_empty(day):
    start_s, end_s = window(90)
    assert empty_panels(day.url, start_s, end_s, scrape_s=1) == []
