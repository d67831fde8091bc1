"""The table of `laneway top`: which columns there are, and which of them a width has room for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from laneway.observability.lanes.figures import Figures
from laneway.observability.outcomes import OutcomeClass
from laneway.services.cli import units

MARK = "!"
SHORT_NAME, LONG_NAME = 13, 32
"""Names of lanes have so much room before the columns, and up to so much when there is some left."""


@dataclass(frozen=True)
class Column:
    """One figure of each lane; what has the lowest rank stays longest when there is little room."""

    title: str
    rank: int
    cell: Callable[[Figures], str]
    least: int = 0
    """Characters it is given at least, so that it seldom changes its width."""


def columns(*, first: bool) -> tuple[Column, ...]:
    """The columns in their order; in a first frame there are counts in place of rates."""
    done, tail = ("done", "") if first else ("done/s", "/s")

    def ended(name: OutcomeClass) -> Callable[[Figures], str]:
        def cell(lane: Figures) -> str:
            if first:
                return units.count((lane.ended_since_start or {}).get(name))
            return units.rate((lane.ended_per_s or {}).get(name))

        return cell

    def extra(name: OutcomeClass, rank: int) -> Column:
        return Column(f"{name}{tail}", rank, ended(name), 5)

    return (
        Column("ready", 0, lambda lane: units.count(lane.ready), 5),
        Column("flight", 3, lambda lane: units.count(lane.in_flight), 6),
        Column("later", 9, lambda lane: units.count(lane.delayed), 5),
        Column("oldest", 1, lambda lane: units.duration(lane.oldest_age_s), 6),
        Column("p95", 5, lambda lane: units.duration(lane.wait_p95_s), 5),
        Column("in/s", 7, lambda lane: units.rate(lane.arrived_per_s), 4),
        Column(done, 2, ended("ok"), 6),
        extra("retry", 10),
        extra("error", 11),
        extra("killed", 12),
        extra("dropped", 13),
        Column("fail", 4, lambda lane: units.percent(lane.failed_ratio), 4),
        Column("dead", 6, lambda lane: units.count(lane.dead_letters), 4),
        Column("wkr", 8, lambda lane: units.count(lane.workers), 3),
        Column("slots", 8, _slots, 5),
    )


def table(rows: Sequence[Figures], width: int, *, first: bool) -> list[str]:
    """A line of titles, then one for each row; none is wider than `width`.

    Columns that have no room are left out, the outcomes first. A row with trouble begins with `!`.
    """
    cells = {column: [column.cell(row) for row in rows] for column in columns(first=first)}
    widths = {
        column: max(column.least, len(column.title), *map(len, shown))
        for column, shown in cells.items()
    }
    longest = max((len(row.lane) for row in rows), default=0)
    name_width = min(longest, SHORT_NAME)
    room = width - len(MARK) - 1 - name_width
    chosen, room = _choose(widths, room, extra=False)
    grown = min(longest, LONG_NAME, name_width + room)
    name_width, room = grown, room - (grown - name_width)
    chosen = chosen | _choose(widths, room, extra=True)[0]
    shown = [column for column in cells if column in chosen]
    heading = ["  " + "lane".ljust(name_width), *(c.title.rjust(widths[c]) for c in shown)]
    lines = [" ".join(heading)]
    for number, row in enumerate(rows):
        mark = MARK if row.troubles else " "
        name = f"{mark} {clean(row.lane, name_width).ljust(name_width)}"
        lines.append(" ".join([name, *(cells[c][number].rjust(widths[c]) for c in shown)]))
    return [line[:width] for line in lines]


def clean(text: str, width: int | None = None) -> str:
    """Printable ASCII, as what a stranger wrote must not steer the terminal, cut to a width."""
    plain = "".join(c if c.isascii() and c.isprintable() else "?" for c in text)
    if width is None or len(plain) <= width:
        return plain
    return plain[: max(0, width - 1)] + "~" if width else ""


_EXTRA_RANK = 10
"""Columns from this rank on give way to the names of lanes."""


def _choose(widths: dict[Column, int], room: int, *, extra: bool) -> tuple[set[Column], int]:
    """The columns that have room, and the room that is left."""
    chosen = set()
    for column in sorted(widths, key=lambda column: column.rank):
        if (column.rank >= _EXTRA_RANK) != extra:
            continue
        if widths[column] + 1 > room:
            break
        chosen.add(column)
        room -= widths[column] + 1
    return chosen, room


def _slots(lane: Figures) -> str:
    if lane.slots is None:
        return units.NOTHING
    return f"{units.count(lane.slots_busy)}/{units.count(lane.slots)}"
