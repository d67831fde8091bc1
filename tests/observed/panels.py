"""Asks a Prometheus every query of every dashboard."""

import math

from laneway.observability.mixin.dashboards.board import plain
from laneway.observability.mixin.dashboards.boards import BOARDS
from laneway.observability.mixin.drawing.answers import Answer, answers, panels
from laneway.observability.mixin.drawing.prometheus import Prometheus
from laneway.observability.mixin.drawing.span import Span


def empty_panels(
    prometheus_url: str, start_s: float, end_s: float, scrape_s: float = 5
) -> list[str]:
    """The queries that bring nothing, as `dashboard / kind and title of panel / letter: query`.

    A query that brings no number (NaN alone) brings nothing. Times are in seconds since the epoch;
    `scrape_s` lies between two scrapes.
    """
    prometheus, span = Prometheus(prometheus_url), Span(start_s, end_s, scrape_s)
    return [
        f"{board.name} / {panel['type']} {panel['title']} / {answer.ref}: {answer.expr}"
        for board in BOARDS
        for panel in panels(plain(board.made()))
        for answer in answers(panel, prometheus, span)
        if _is_empty(answer)
    ]


def _is_empty(answer: Answer) -> bool:
    return all(math.isnan(value) for series in answer.series for value in series.values)
