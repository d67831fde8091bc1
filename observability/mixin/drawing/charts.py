"""Panels with a time axis: lines and heatmaps."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from laneway.observability.mixin.drawing import units
from laneway.observability.mixin.drawing.answers import Answer
from laneway.observability.mixin.drawing.card import (
    FAINT,
    INK,
    PALETTE,
    RULE,
    SMALL,
    Card,
    colour,
    cut,
    wide,
)
from laneway.observability.mixin.drawing.prometheus import Series
from laneway.observability.mixin.drawing.span import Span

_LEFT, _AXIS, _LINE = 0.5, 0.17, 0.135
_LEGEND_LINES = 2
# An axis grows for a limit's sake, but not so far that the data is a flat line.
_STRETCH = 2
_CLOCK_STEPS_S = (15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class _Line:
    name: str
    colour: str
    values: Values
    target: bool


def lines(card: Card, panel: Mapping[str, Any], answers: Sequence[Answer], span: Span) -> None:
    """Values over time."""
    shown = _lines(panel, answers, span)
    if not shown:
        card.no_data()
        return
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom["stacking"]["mode"] == "normal"
    listed = [(line.name, line.colour) for line in (_largest_first(shown) if stacked else shown)]
    legend = _laid_out(listed, card.width)
    axes = card.axes(left=_LEFT, bottom=_AXIS + len(legend) * _LINE + 0.02)
    x = np.array(_grid(span))
    under = np.zeros(len(x))
    for line in shown:
        if line.target:
            axes.plot(x, line.values, color=line.colour, lw=0.9, ls=(0, (5, 3)))
        elif stacked:
            above = under + np.nan_to_num(line.values)
            axes.fill_between(x, under, above, color=line.colour, alpha=0.55, lw=0)
            under = above
        else:
            axes.plot(x, line.values, color=line.colour, lw=1, marker=_marker(line.values), ms=2)
    highest = max(float(under.max()), *(_highest(line.values) for line in shown))
    _value_axis(axes, panel, highest)
    _time_axis(axes, card.width - _LEFT, span)
    _write_legend(card, legend)


def heat(card: Card, panel: Mapping[str, Any], answers: Sequence[Answer], span: Span) -> None:
    """How many fell into each bucket, over time."""
    edges = sorted(answers[0].series, key=lambda series: float(series.labels["le"]))
    if not edges:
        card.no_data()
        return
    upto = np.array([_on_grid(series, span) for series in edges])
    cells = np.diff(np.nan_to_num(upto), axis=0, prepend=0)
    used = np.flatnonzero(cells.max(axis=1) > 0)
    low, high = (used[0], used[-1] + 1) if len(used) else (0, len(edges))
    cells = cells[low:high]
    axes = card.axes(left=_LEFT, bottom=_AXIS, top=0.06)
    axes.imshow(
        np.where(cells > 0, np.sqrt(np.maximum(cells, 0)), np.nan),
        aspect="auto",
        origin="lower",
        cmap="Blues",
        vmin=-0.25 * math.sqrt(max(cells.max(), 1)),
        interpolation="none",
        extent=(span.start_s, span.end_s, 0, len(cells)),
    )
    labels = [float(series.labels["le"]) for series in edges[low:high]]
    every = max(1, math.ceil(len(labels) / 7))
    unit = panel["fieldConfig"]["defaults"]["unit"]
    axes.set_yticks(range(1, len(labels) + 1, every))
    axes.set_yticklabels([f"≤ {units.text(edge, unit)}" for edge in labels[::every]])
    _time_axis(axes, card.width - _LEFT, span)


def latest(series: Series) -> float:
    """The last value that is a number."""
    return next((value for value in reversed(series.values) if not math.isnan(value)), math.nan)


def sparkline(card: Card, series: Series, span: Span, tint: str) -> None:
    """How a number came to be, without axes."""
    axes = card.axes(top=card.height * 0.55)
    x, y = _grid(span), _on_grid(series, span)
    axes.fill_between(x, y, min(0.0, -_highest(-y)), color=tint, alpha=0.18, lw=0)
    axes.plot(x, y, color=tint, lw=0.8)
    axes.set_xlim(span.start_s, span.end_s)
    axes.set_ylim(min(0.0, -_highest(-y)), max(_highest(y), 1e-9) * 1.05)
    axes.set_xticks([])
    axes.set_yticks([])


def _lines(panel: Mapping[str, Any], answers: Sequence[Answer], span: Span) -> list[_Line]:
    fixed: dict[str, str] = {}
    targets: set[str] = set()
    for override in panel["fieldConfig"]["overrides"]:
        if override["matcher"]["id"] == "byFrameRefID":
            targets.add(override["matcher"]["options"])
        else:
            fixed[override["matcher"]["options"]] = override["properties"][0]["value"]["fixedColor"]
    made: list[_Line] = []
    for answer in answers:
        for series in answer.series:
            name, values = answer.name(series), _on_grid(series, span)
            tint = PALETTE[len(made) % len(PALETTE)]
            if answer.ref in targets:
                tint = colour("dark-red")
            elif name in fixed:
                tint = colour(fixed[name])
            if not np.isnan(values).all():
                made.append(_Line(name, tint, values, answer.ref in targets))
    return made


def _largest_first(shown: Sequence[_Line]) -> list[_Line]:
    """So that the legend of a stack leaves out what can hardly be seen."""
    return sorted(shown, key=lambda line: -_highest(line.values))


def _grid(span: Span) -> list[float]:
    # The last point may lie a fraction of a step before the end.
    count = round((span.end_s - span.start_s) / span.step_s) + 1
    return [span.start_s + n * span.step_s for n in range(count)]


def _on_grid(series: Series, span: Span) -> Values:
    values = np.full(len(_grid(span)), np.nan)
    for at_s, value in zip(series.times, series.values, strict=True):
        if math.isfinite(value):
            values[round((at_s - span.start_s) / span.step_s)] = value
    return values


def _highest(values: Values) -> float:
    return float(np.nanmax(values)) if not np.isnan(values).all() else 0.0


def _marker(values: Values) -> str | None:
    """Points for a line so short that it would not be seen."""
    return "o" if np.count_nonzero(~np.isnan(values)) < 2 else None  # noqa: PLR2004


def _value_axis(axes: Axes, panel: Mapping[str, Any], highest: float) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    limits = []
    if defaults["custom"]["thresholdsStyle"]["mode"] != "off":
        limits = defaults["thresholds"]["steps"][1:]
    seen = [step["value"] for step in limits if step["value"] <= highest * _STRETCH]
    top = defaults.get("max") or max([highest, *seen]) * 1.08 or 1
    for step in limits:
        if step["value"] <= top:
            axes.axhline(step["value"], color=colour(step["color"]), lw=0.8, ls=(0, (4, 3)))
    marks = units.ticks(top, defaults["unit"])
    axes.set_ylim(0, top)
    axes.set_yticks(marks)
    axes.set_yticklabels([units.text(mark, defaults["unit"]) for mark in marks])
    axes.grid(axis="y", color=RULE, lw=0.6)
    axes.set_axisbelow(True)


def _time_axis(axes: Axes, width: float, span: Span) -> None:
    room = max(int(width / 0.55), 2)
    length = span.end_s - span.start_s
    step = next((step for step in _CLOCK_STEPS_S if length / step <= room), _CLOCK_STEPS_S[-1])
    marks = np.arange(math.ceil(span.start_s / step) * step, span.end_s + 1, step)
    style = "%H:%M:%S" if step < 60 else "%H:%M"  # noqa: PLR2004 - a minute
    axes.set_xlim(span.start_s, span.end_s)
    axes.set_xticks(marks)
    axes.set_xticklabels([datetime.fromtimestamp(mark, UTC).strftime(style) for mark in marks])


def _laid_out(entries: Sequence[tuple[str, str]], width: float) -> list[list[tuple[str, str]]]:
    """The legend's lines; what does not fit is counted in the last."""
    made: list[list[tuple[str, str]]] = [[]]
    used = 0.0
    for number, (name, tint) in enumerate(entries):
        shown = cut(name, SMALL, width - 0.8)
        need = wide(shown, SMALL) + 0.3
        last = len(made) == _LEGEND_LINES and number < len(entries) - 1
        if used + need + (0.5 if last else 0) > width and made[-1]:
            if len(made) == _LEGEND_LINES:
                made[-1].append((f"+ {len(entries) - number}", ""))
                break
            made.append([])
            used = 0.0
        made[-1].append((shown, tint))
        used += need
    return made


def _write_legend(card: Card, legend: Sequence[Sequence[tuple[str, str]]]) -> None:
    for number, entries in enumerate(legend):
        right, down = 0.0, card.height - (len(legend) - number - 0.5) * _LINE
        for name, tint in entries:
            if tint:
                card.write(right, down - 0.01, "■", size=SMALL, color=tint)
            card.write(right + 0.12, down, name, size=SMALL, color=INK if tint else FAINT)
            right += wide(name, SMALL) + 0.3
