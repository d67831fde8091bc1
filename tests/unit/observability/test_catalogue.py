import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from laneway.observability.attempts import Attempts
from laneway.observability.catalogue import CATALOGUE
from laneway.observability.metrics import Metrics, metrics_payload
from laneway.observability.outcomes import Outcome

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


def served_families(metrics):
    text = metrics_payload(metrics.registry, None)[0].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_every_entry_is_served_and_nothing_else(lines):
    metrics = Metrics()
    metrics.watch_backlog(dict)
    metrics.watch_pool(list)
    metrics.watch_spans(lambda: 0)
    metrics.build_info(version="1")
    metrics.config_info("abc")
    Attempts(metrics, None, lines)

    families = served_families(metrics)

    kinds = {metric.name.removesuffix("_total"): metric.kind for metric in CATALOGUE}
    # The text format has no word for info: it shows it as a gauge.
    kinds["laneway_build_info"] = kinds["laneway_config_info"] = "gauge"
    assert {name: family.type for name, family in families.items()} == kinds


def test_names_follow_the_conventions_of_prometheus():
    for metric in CATALOGUE:
        assert re.fullmatch(r"laneway_[a-z0-9_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        if metric.unit:
            assert metric.name.removesuffix("_total").endswith(f"_{metric.unit}")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert list(metric.buckets) == sorted(metric.buckets)


def test_names_are_unique():
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_there_are_fourteen_outcomes_in_five_classes():
    assert {outcome.value for outcome in Outcome} == {
        *("success", "retry", "failure", "rejected", "requeued", "ignored", "soft_timeout"),
        *("hard_timeout", "worker_lost", "terminated", "revoked", "expired", "cancelled"),
        "shutdown_requeued",
    }
    assert {outcome.outcome_class for outcome in Outcome} == {
        *("ok", "retry", "error", "killed", "dropped")
    }


def test_the_page_of_metrics_is_made_of_the_catalogue():
    spec = spec_from_file_location("metrics_page", ROOT / "tools" / "metrics_page.py")
    page = module_from_spec(spec)
    spec.loader.exec_module(page)
    assert (ROOT / "docs" / "metrics.md").read_text() == page.page(), "run: make metrics"
