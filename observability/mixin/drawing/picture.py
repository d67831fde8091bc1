"""A dashboard as one picture: its panels at their places on the grid."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from laneway.observability.mixin.drawing import charts, values
from laneway.observability.mixin.drawing.answers import Answer, answers
from laneway.observability.mixin.drawing.card import FAINT, Card
from laneway.observability.mixin.drawing.prometheus import Prometheus
from laneway.observability.mixin.drawing.span import Span

_WIDTH, _MARGIN, _HEAD, _GAP = 15.0, 0.15, 0.75, 0.08
_COLUMNS, _ROW = 24, 0.34

_Draw = Callable[[Card, Mapping[str, Any], Sequence[Answer], Span], None]
_KINDS: Mapping[str, _Draw] = {
    "timeseries": charts.lines,
    "heatmap": charts.heat,
    "stat": values.number,
    "bargauge": values.bars,
    "table": values.table,
}
# Letters stay letters, which is small and can be searched; the same picture has the same bytes.
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "laneway",
    "font.family": "DejaVu Sans",
}

_FONT = 'font-family="DejaVu Sans, Verdana, sans-serif"'


def draw(board: Mapping[str, Any], prometheus: Prometheus, span: Span) -> str:
    """The picture of a dashboard's JSON, as SVG.

    Args:
        board: The dashboard, as its file has it.
        prometheus: Who answers its queries.
        span: The time to show.
    """
    with mpl.rc_context(_STYLE):
        written = io.StringIO()
        figure = drawn(board, prometheus, span)
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _short(written.getvalue())


def drawn(board: Mapping[str, Any], prometheus: Prometheus, span: Span) -> Figure:
    """The picture, to be saved in whatever format."""
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    figure = Figure(figsize=(_WIDTH, _HEAD + rows * _ROW + _MARGIN), facecolor="#f7f8fa")
    _head(figure, board, span)
    for panel in board["panels"]:
        card = _place(figure, panel["gridPos"])
        if panel["type"] == "row":
            card.write(0.02, card.height - 0.12, panel["title"], size=10, weight="bold")
            continue
        inside = card.frame(panel["title"])
        _KINDS[panel["type"]](inside, panel, answers(panel, prometheus, span), span)
    return figure


def _head(figure: Figure, board: Mapping[str, Any], span: Span) -> None:
    card = Card(figure, _MARGIN, 0, _WIDTH - 2 * _MARGIN, _HEAD)
    card.write(0.02, 0.3, board["title"], size=14, weight="bold")
    card.write(0.02, 0.58, board["description"], size=9, color=FAINT)
    begin, end = (datetime.fromtimestamp(at_s, UTC) for at_s in (span.start_s, span.end_s))
    shown = f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    card.write(card.width, 0.3, shown, size=9, color=FAINT, ha="right")


def _place(figure: Figure, grid: Mapping[str, int]) -> Card:
    column = (_WIDTH - 2 * _MARGIN + _GAP) / _COLUMNS
    return Card(
        figure,
        _MARGIN + grid["x"] * column,
        _HEAD + grid["y"] * _ROW,
        grid["w"] * column - _GAP,
        grid["h"] * _ROW - _GAP,
    )


def _short(svg: str) -> str:
    """The same picture in a third of the bytes: exact to a tenth of a point, and by steps."""
    svg = svg.replace("font-family: 'DejaVu Sans'; ", "").replace("<svg ", f"<svg {_FONT} ", 1)
    svg = re.sub(r' transform="rotate\(-0 [^"]+"', "", re.sub(r"\n +", "\n", svg))
    svg = re.sub(r'( [xy]="-?\d+\.\d)\d+"', r'\1"', svg)
    return re.sub(r' d="([^"]+)"', lambda path: f' d="{_by_steps(path[1])}"', svg)


def _by_steps(path: str) -> str:
    """A path of straight lines, each point told as the way from the last."""
    made: list[str] = []
    last = (0, 0)
    for name, *numbers in (line.split() for line in path.splitlines() if line.strip()):
        if name not in {"M", "L", "z"}:
            return path
        if name == "z":
            made.append("z")
            continue
        point = (round(float(numbers[0]) * 10), round(float(numbers[1]) * 10))
        if name == "M":
            made.append(f"M{_tenths(point[0])} {_tenths(point[1])}")
        else:
            made.append(f"l{_tenths(point[0] - last[0])} {_tenths(point[1] - last[1])}")
        last = point
    return "".join(made)


def _tenths(number: int) -> str:
    return f"{number / 10:g}"
