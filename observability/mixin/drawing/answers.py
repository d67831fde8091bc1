"""Runs the queries of a dashboard's panels."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from laneway.observability.mixin.drawing.prometheus import Prometheus, Series
from laneway.observability.mixin.drawing.span import Span


@dataclass(frozen=True)
class Answer:
    """What one query of a panel brought."""

    ref: str
    expr: str
    legend: str
    series: Sequence[Series]

    def name(self, series: Series) -> str:
        """What the legend calls a series."""
        if self.legend == "__auto":
            return ", ".join(series.labels.values())
        return re.sub(r"{{(\w+)}}", lambda label: series.labels.get(label[1], ""), self.legend)


def panels(board: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The panels of a dashboard's JSON, without the headings between them."""
    return (panel for panel in board["panels"] if panel["type"] != "row")


def answers(panel: Mapping[str, Any], prometheus: Prometheus, span: Span) -> list[Answer]:
    """Ask what a panel asks."""
    return [_answer(target, prometheus, span) for target in panel["targets"]]


def _answer(target: Mapping[str, Any], prometheus: Prometheus, span: Span) -> Answer:
    expr = span.filled(target["expr"])
    if target.get("instant"):
        found = prometheus.at(expr, span.end_s)
    else:
        found = prometheus.over(expr, span)
    return Answer(target["refId"], expr, target["legendFormat"], found)
