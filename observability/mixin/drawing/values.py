"""Panels of values as they are now: numbers, bars and tables."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.patches import Rectangle

from laneway.observability.mixin.drawing import units
from laneway.observability.mixin.drawing.answers import Answer
from laneway.observability.mixin.drawing.card import (
    FAINT,
    INK,
    PLAIN,
    RULE,
    Card,
    colour,
    cut,
    steps_colour,
    wide,
)
from laneway.observability.mixin.drawing.charts import latest, sparkline
from laneway.observability.mixin.drawing.span import Span

_ROW = 0.19
_NUMBER = 17

_Cells = dict[str, str]


def number(card: Card, panel: Mapping[str, Any], answers: Sequence[Answer], span: Span) -> None:
    """One number, with how it came to be behind it."""
    series = [one for answer in answers for one in answer.series]
    if not series:
        card.no_data()
        return
    value = latest(series[0])
    tint = _tint(panel, value)
    sparkline(card, series[0], span, tint)
    shown = units.text(value, panel["fieldConfig"]["defaults"]["unit"])
    card.write(
        card.width / 2, card.height * 0.33, shown, size=_NUMBER, color=tint, ha="center",
        weight="bold",
    )  # fmt: skip


def bars(card: Card, panel: Mapping[str, Any], answers: Sequence[Answer], _span: Span) -> None:
    """One bar for each series."""
    defaults = panel["fieldConfig"]["defaults"]
    rows = [(answer.name(one), latest(one)) for answer in answers for one in answer.series]
    if not rows:
        card.no_data()
        return
    room = min(max(wide(name, PLAIN) for name, _ in rows), card.width * 0.5) + 0.1
    top = defaults.get("max") or max((value for _, value in rows), default=1) or 1
    axes = card.axes(left=room)
    axes.set_xlim(0, top * 1.2)
    axes.set_ylim(len(rows), 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for place, (name, value) in enumerate(rows):
        down = (place + 0.5) * card.height / len(rows)
        card.write(0, down, cut(name, PLAIN, room))
        axes.add_patch(Rectangle((0, place + 0.2), top, 0.6, fc="#f2f4f7", ec="none"))
        filled = 0 if math.isnan(value) else min(value, top)
        axes.add_patch(Rectangle((0, place + 0.2), filled, 0.6, fc=_tint(panel, value), ec="none"))
        shown = units.text(value, defaults["unit"])
        axes.text(top * 1.03, place + 0.5, shown, size=PLAIN, color=INK, va="center")


def table(card: Card, panel: Mapping[str, Any], answers: Sequence[Answer], _span: Span) -> None:
    """Rows by labels, a column for each query."""
    columns, rows = _rows(panel, answers)
    if not rows:
        card.no_data()
        return
    fit = int(card.height / _ROW) - 1
    shown = rows if len(rows) <= fit else rows[: fit - 1]
    widths = [
        max(wide(text, PLAIN) for text in (c, *(r.get(c, "") for r in shown))) for c in columns
    ]
    # What is too wide is cut; what is left is shared out.
    share = min(1, (card.width - 0.12 * len(columns)) / sum(widths))
    space = max((card.width - sum(widths) * share) / len(columns), 0.12)
    right = 0.0
    for column, width in zip(columns, widths, strict=True):
        room = width * share + 0.01
        card.write(right, _ROW / 2, cut(column, PLAIN, room), color=FAINT)
        for place, row in enumerate(shown, start=1):
            text = cut(row.get(column, ""), PLAIN, room)
            card.write(right, _ROW * (place + 0.5), text)
        right += room + space
    _rules(card, len(shown))
    if len(shown) < len(rows):
        more = f"and {len(rows) - len(shown)} more"
        card.write(0, _ROW * (len(shown) + 1.5), more, color=FAINT)


def _rules(card: Card, count: int) -> None:
    axes = card.axes()
    axes.set_xlim(0, 1)
    axes.set_ylim(card.height, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    for place in range(1, count + 1):
        axes.axhline(place * _ROW, color=RULE, lw=0.6)


def _rows(panel: Mapping[str, Any], answers: Sequence[Answer]) -> tuple[list[str], list[_Cells]]:
    """What Grafana's merge and organize make of the answers: columns and rows, sorted."""
    organize = panel["transformations"][1]["options"]
    names, hidden = organize["renameByName"], organize["excludeByName"]
    order = organize["indexByName"]
    formats = _formats(panel)
    merged: dict[frozenset[tuple[str, str]], tuple[_Cells, dict[str, float]]] = {}
    for answer in answers:
        value = "Value" if len(answers) == 1 else f"Value #{answer.ref}"
        for series in answer.series:
            labels = {name: text for name, text in series.labels.items() if name not in hidden}
            cells, numbers = merged.setdefault(frozenset(labels.items()), (labels, {}))
            if value not in hidden:
                column = names.get(value, value)
                numbers[column] = latest(series)
                cells[column] = units.text(latest(series), formats.get(column, "short"))
    sort = next(iter(panel["options"].get("sortBy") or ()), {"displayName": ""})["displayName"]
    rows = sorted(merged.values(), key=lambda row: -row[1].get(sort, -math.inf))
    found = {name for cells, _ in rows for name in cells}
    columns = [names.get(name, name) for name in sorted(order, key=order.__getitem__)]
    return [name for name in columns if name in found], [cells for cells, _ in rows]


def _formats(panel: Mapping[str, Any]) -> dict[str, str]:
    return {
        override["matcher"]["options"]: one["value"]
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "unit"
    }


def _tint(panel: Mapping[str, Any], value: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    if defaults["color"]["mode"] == "thresholds":
        return steps_colour(defaults["thresholds"]["steps"], value)
    return colour(defaults["color"].get("fixedColor", "blue"))
