"""A bar chart of drain rates as SVG, written by hand: no library is worth one picture."""

import statistics
from html import escape

from bench.arms import WORKERS
from bench.tables import Runs

WIDTH, LEFT, RIGHT = 760, 170, 90
TOP, BAR, GAP, BETWEEN = 50, 18, 10, 46
OURS, THEIRS, INK, FAINT = "#2f6fde", "#9aa5b4", "#1f2933", "#d5dbe3"
TICKS = 4


def chart(panels: list[Runs]) -> str:
    """One panel a kind of run: a bar a median, a whisker from the slowest run to the fastest."""
    bars = [(runs, _bars(runs)) for runs in panels]
    bars = [(runs, found) for runs, found in bars if found]
    most = max((max(rates) for _, found in bars for rates in found.values()), default=1.0)
    step = _step(most / TICKS)
    scale = (WIDTH - LEFT - RIGHT) / most
    parts, y = [], TOP
    for runs, found in bars:
        below = y + len(found) * (BAR + GAP)
        parts.append(_text(LEFT, y - 14, runs.kind.title, "start", weight="600"))
        parts += _grid(y, below, step, most, scale)
        for title, rates in found.items():
            parts += _bar(y, title, rates, scale)
            y += BAR + GAP
        y = below + BETWEEN + 14
    height = y - 14
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"',
            'font-family="system-ui, sans-serif" font-size="13">',
            "<title>Tasks a second that two workers run, median and range</title>",
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *parts,
            "</svg>\n",
        )
    )


def _bars(runs: Runs) -> dict[str, list[float]]:
    """Rates by the arms' labels, of those that have any."""
    rates = {arm.label: [row["rate"] for row in runs.counted(arm.name)] for arm in WORKERS}
    return {label: found for label, found in rates.items() if found}


def _bar(y: int, title: str, rates: list[float], scale: float) -> list[str]:
    middle, least, most = statistics.median(rates), min(rates), max(rates)
    colour = OURS if title.startswith("Laneway") else THEIRS
    centre, end = y + BAR / 2, LEFT + most * scale
    return [
        _text(LEFT - 10, y + 14, title, "end"),
        f'<rect x="{LEFT}" y="{y}" width="{middle * scale:.1f}" height="{BAR}" fill="{colour}"/>',
        f'<path d="M{LEFT + least * scale:.1f} {centre}H{end:.1f}" stroke="{INK}"/>',
        _text(round(end) + 8, y + 14, f"{middle:,.0f}", "start"),
    ]


def _grid(top: int, bottom: int, step: float, most: float, scale: float) -> list[str]:
    parts = []
    for number in range(int(most / step) + 1):
        x = LEFT + number * step * scale
        parts.append(f'<path d="M{x:.1f} {top - 4}V{bottom}" stroke="{FAINT}"/>')
        label = f"{number * step:,.0f}" + (" tasks/s" if number == 0 else "")
        parts.append(_text(round(x), bottom + 16, label, "middle", size=11))
    return parts


def _text(x: int, y: int, text: str, anchor: str, weight: str = "400", size: int = 13) -> str:
    return (
        f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" '
        f'font-size="{size}" fill="{INK}">{escape(text)}</text>'
    )


def _step(rough: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** (len(str(int(max(1.0, rough)))) - 1)
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
