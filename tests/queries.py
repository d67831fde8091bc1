"""Checks a PromQL query against the catalogue: it parses, and names only what there is."""

import promql_parser as promql

from laneway.observability.catalogue import CATALOGUE, Metric

# What Prometheus adds to every series, and what it writes beside each scrape.
TARGET = {"namespace", "pod", "job", "instance"}
SCRAPES = {"up", "scrape_duration_seconds", "scrape_samples_scraped"}
# Info metrics say what they say in labels, which the catalogue does not list.
INFO = {
    "laneway_build_info": {"version", "celery", "python"},
    "laneway_config_info": {"queue", "hash"},
}
SLO_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
RECORDED = {
    "queue:laneway_utilisation:ratio5m": {"queue"},
    "queue:laneway_service:rate5m": {"queue"},
    "queue:laneway_arrivals:rate5m": {"queue"},
    "queue:laneway_drain_eta:seconds": {"queue"},
    **{f"queue:laneway_slo_errors:ratio_rate{w}": {"queue", "slo"} for w in SLO_WINDOWS},
}


def _series(metric: Metric) -> dict[str, set[str]]:
    labels = set(metric.labels) | INFO.get(metric.name, set())
    if metric.kind != "histogram":
        return {metric.name: labels}
    parts = {f"{metric.name}{part}": labels for part in ("_sum", "_count")}
    return parts | {f"{metric.name}_bucket": labels | {"le"}}


LABELS = {name: labels for metric in CATALOGUE for name, labels in _series(metric).items()}
LABELS |= RECORDED | {name: set() for name in SCRAPES}


def check_query(expression: str) -> list[str]:
    """What is wrong with a query; nothing if it is fine."""
    try:
        parsed = promql.parse(expression)
    except ValueError as refused:
        return [f"does not parse: {refused}"]
    complaints: list[str] = []
    promql.walk(parsed, lambda node: complaints.extend(_complaints(node)))
    return complaints


def _complaints(node: promql.Expr) -> list[str]:
    if isinstance(node, promql.VectorSelector):
        if node.name not in LABELS:
            return [f"no series is called {node.name}"]
        known = LABELS[node.name] | TARGET
        wrong = {matcher.name for matcher in node.matchers.matchers} - known
        return [f"{node.name} has no label {label}" for label in sorted(wrong)]
    if isinstance(node, promql.AggregateExpr) and node.modifier:
        return _foreign(node, set(node.modifier.labels))
    if isinstance(node, promql.BinaryExpr) and node.modifier and node.modifier.matching:
        return _foreign(node, set(node.modifier.matching.labels))
    return []


def _foreign(node: promql.Expr, labels: set[str]) -> list[str]:
    """Labels to group or match by that no series below has."""
    have = set(TARGET)

    def visit(inner: promql.Expr) -> None:
        if isinstance(inner, promql.VectorSelector):
            have.update(LABELS.get(inner.name or "", set()))

    promql.walk(node, visit)
    return [f"nothing below has a label {label}" for label in sorted(labels - have)]
