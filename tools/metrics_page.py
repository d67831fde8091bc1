"""Makes `docs/metrics.md` of the catalogue in `observability/catalogue.py`.

.venv/bin/python tools/metrics_page.py
"""

from collections.abc import Iterator
from pathlib import Path

from laneway.observability.catalogue import CATALOGUE
from laneway.observability.metric import Metric

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

HEAD = """# Metrics

Every metric of Laneway, made by `tools/metrics_page.py` of `observability/catalogue.py`. A worker
serves them at `/metrics` of its health port (LANEWAY_HEALTH_BIND), a gateway at `/metrics` of its own;
asked for OpenMetrics, as Prometheus does, they come with exemplars that lead to traces.

"Sets" is how many sets of labels a process has of a metric at most; what comes later counts as the
task, or the type of error, `__other__`. A worker with a hundred kinds of tasks stays below 3,000
series. Pod, namespace and instance are labels that Prometheus adds. Gauges of what lies in the
broker are served by every worker of the lane and by the gateway alike: take their `max`, not their
sum.

"""

PLACES = {
    "producer": "Whoever publishes: gateway, workers and their processes",
    "worker": "Workers",
    "gateway": "The gateway",
    "everywhere": "Every service",
}


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(f"## {title}\n\n{_table(place)}" for place, title in PLACES.items())


def _table(place: str) -> str:
    rows = (_row(metric) for metric in CATALOGUE if metric.where == place)
    heading = "| metric | type | labels | sets | what it says |\n|---|---|---|---|---|\n"
    return heading + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(metric: Metric) -> Iterator[str]:
    yield f"`{metric.name}`"
    yield metric.kind
    yield ", ".join(metric.labels) or "none"
    yield f"{metric.most:,}" if metric.most else "few"
    buckets = ", ".join(f"{bound:,g}" for bound in metric.buckets)
    yield f"{metric.help} Buckets: {buckets}." if buckets else metric.help


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
