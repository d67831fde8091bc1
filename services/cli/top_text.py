"""A frame of `laneway top` as lines of text, and as a document for programs."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from laneway.observability.lanes.figures import (
    CLASSES,
    ByClass,
    Figures,
    lane_figures,
    totals,
)
from laneway.services.cli import units
from laneway.services.cli.painter import Line
from laneway.services.cli.top_sources import WORKER, Frame
from laneway.services.cli.top_table import clean, table

DOCUMENT_VERSION = 1
"""Grows when a key changes its meaning or goes; new ones may come at any time."""

SILENT = "no answer"
"""The trouble of a lane whose worker could not be read."""

MOST_NOTES = 4
LEAST_SOURCE = 8
"""With less room the header leaves out where it was read."""
LEAST_ROWS = 3
"""So many lanes are shown on a terminal that has no room for any."""

_GAP = "  "


@dataclass(frozen=True)
class Told:
    """A frame with the figures in their order."""

    frame: Frame
    lanes: tuple[Figures, ...]
    total: Figures

    @property
    def first(self) -> bool:
        """Whether there was nothing before to tell rates from."""
        return self.frame.picture.rates is None


def tell(frame: Frame, order: Sequence[str], known: Iterable[str] = ()) -> Told:
    """The figures of a frame.

    Args:
        frame: What was read.
        order: Lanes in the order to show them; others follow by name.
        known: Lanes to show also if nothing tells of them now.
    """
    found = lane_figures(frame.picture, {*frame.expected, *known})
    place = {lane: number for number, lane in enumerate(order)}
    lanes = [_marked(found[lane], frame) for lane in sorted(found)]
    lanes.sort(key=lambda figures: place.get(figures.lane, len(place)))
    return Told(frame, tuple(lanes), totals(frame.picture, lanes))


def text_lines(told: Told, width: int, height: int | None = None) -> list[Line]:
    """The frame in at most `width` columns, and in `height` lines if that is given."""
    notes = _notes(told)
    fixed = len(("header", "titles", "total", "ended")) + len(notes)
    shown, hidden = _room(told.lanes, None if height is None else height - fixed)
    first, *rows = table([*shown, told.total], width, first=told.first)
    lines = [Line(_header(told, width), "title"), Line(first, "quiet")]
    styles = ["trouble" if lane.troubles else "plain" for lane in shown]
    lines += map(Line, rows[:-1], styles)
    if hidden:
        lines.append(Line(f"  {hidden} more lanes have no room here"[:width], "quiet"))
    lines += [Line(rows[-1], "title"), Line(_ended(told, width))]
    lines += [Line(clean(note, width), "trouble") for note in notes]
    return lines if height is None else lines[: max(1, height)]


def document(told: Told) -> dict[str, Any]:
    """The frame for programs; docs/top.md says what each key means."""
    frame, picture = told.frame, told.frame.picture
    return {
        "version": DOCUMENT_VERSION,
        "at_s": round(frame.at_s, 3),
        "source": frame.source,
        "window_s": _rounded(picture.window_s),
        "broker_up_ratio": _rounded(picture.broker_up_ratio),
        "unread": [{"endpoint": name, "reason": why} for name, why in frame.unread.items()],
        "lanes": [_fields(lane) for lane in told.lanes],
        "total": _fields(told.total),
    }


def _marked(lane: Figures, frame: Frame) -> Figures:
    """With its trouble, if its worker did not answer."""
    silent = f"{WORKER}{lane.lane}" in frame.unread
    return replace(lane, troubles=(SILENT, *lane.troubles)) if silent else lane


def _fields(lane: Figures) -> dict[str, Any]:
    return {
        "lane": lane.lane,
        "troubles": list(lane.troubles),
        "ready": _whole(lane.ready),
        "in_flight": _whole(lane.in_flight),
        "delayed": _whole(lane.delayed),
        "dead_letters": _whole(lane.dead_letters),
        "oldest_age_s": _rounded(lane.oldest_age_s),
        "start_within_s": _rounded(lane.start_within_s),
        "wait_p95_s": _rounded(lane.wait_p95_s),
        "arrived_per_s": _rounded(lane.arrived_per_s),
        "ended_per_s": lane.ended_per_s and {n: _rounded(v) for n, v in lane.ended_per_s.items()},
        "ended_since_start": lane.ended_since_start
        and {n: _whole(v) for n, v in lane.ended_since_start.items()},
        "failed_ratio": _rounded(lane.failed_ratio),
        "workers": _whole(lane.workers),
        "slots_busy": _whole(lane.slots_busy),
        "slots": _whole(lane.slots),
    }


def _header(told: Told, width: int) -> str:
    picture = told.frame.picture
    clock = time.strftime("%H:%M:%SZ", time.gmtime(told.frame.at_s))
    basis = (
        "since start"
        if picture.window_s is None
        else f"rates over {units.duration(round(picture.window_s))}"
    )
    parts = [f"laneway top {clock}", _broker(picture.broker_up_ratio), basis]
    room = width - len(_GAP.join([*parts, ""]))
    if room >= LEAST_SOURCE:
        parts.insert(1, clean(told.frame.source, room))
    return _joined(parts, width)


def _joined(parts: Sequence[str], width: int) -> str:
    """The parts that have room as a whole."""
    line = parts[0][:width]
    for part in parts[1:]:
        if len(line) + len(_GAP) + len(part) > width:
            break
        line += _GAP + part
    return line


def _broker(up_ratio: float | None) -> str:
    if up_ratio is None:
        return "broker unknown"
    if up_ratio in (0, 1):
        return "broker up" if up_ratio else "BROKER DOWN"
    return f"BROKER DOWN FOR {units.percent(1 - up_ratio)}"


def _ended(told: Told, width: int) -> str:
    """How attempts ended, of all lanes together."""
    total = told.total
    ended: ByClass = (total.ended_since_start if told.first else total.ended_per_s) or {}
    show, unit = (units.count, "") if told.first else (units.rate, "/s")
    shown = [f"{name} {show(ended.get(name))}{unit}" for name in CLASSES]
    since = "ended since start:" if told.first else "ended:"
    return _joined([f"  {since}", *shown], width)


def _notes(told: Told) -> list[str]:
    """What is wrong, a line each."""
    lanes = [f"! {lane.lane}: {because}" for lane in told.lanes if (because := _because(lane))]
    unread = [f"! {name} does not answer: {why}" for name, why in told.frame.unread.items()]
    notes = lanes + unread
    if len(notes) <= MOST_NOTES:
        return notes
    return [*notes[: MOST_NOTES - 1], f"! and {len(notes) - MOST_NOTES + 1} more like these"]


def _because(lane: Figures) -> str:
    # Of silence there is a line that says why.
    words = ", ".join(word for word in lane.troubles if word != SILENT)
    within = f" (to start within {units.duration(lane.start_within_s)})"
    return words + (within if "late" in lane.troubles else "")


def _room(lanes: Sequence[Figures], room: int | None) -> tuple[Sequence[Figures], int]:
    """The lanes that have room and how many have not, those in trouble before the others."""
    if room is None or len(lanes) <= room:
        return lanes, 0
    kept = max(LEAST_ROWS, room - 1)  # a line says that there are more
    urgent = sorted(range(len(lanes)), key=lambda number: not lanes[number].troubles)[:kept]
    return [lanes[number] for number in sorted(urgent)], len(lanes) - kept


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
