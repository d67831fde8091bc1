"""The sheet that a dashboard is drawn on, a card for each panel, and their colours."""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Rectangle
from matplotlib.textpath import TextToPath

INK, FAINT, RULE, CARD = "#1f2933", "#66717d", "#e3e7ec", "#ffffff"
SMALL, PLAIN, BOLD = 6.5, 7.5, 8.5
_POINTS_PER_INCH = 72
# How much more room bold letters take.
_BOLDER = 1.12

PALETTE = (
    "#56a64b", "#e0b400", "#3274d9", "#ff780a", "#a352cc", "#e02f44", "#37a2a2", "#8f3bb8",
    "#705da0", "#806000", "#1f78c1", "#584477", "#b7410e", "#3f6833", "#967302", "#99440a",
)  # fmt: skip
# Grafana's names of colours, somewhat darker where they would be faint on white.
_NAMED = {
    "green": "#56a64b", "yellow": "#e0b400", "light-yellow": "#f2cc0c", "orange": "#ff780a",
    "dark-orange": "#d95b00", "red": "#e02f44", "semi-dark-red": "#b3202f", "dark-red": "#ad0317",
    "purple": "#a352cc", "blue": "#3274d9", "light-blue": "#8ab8ff", "semi-dark-blue": "#1f60c4",
    "dark-blue": "#123f8a", "super-light-blue": "#b5cff8",
}  # fmt: skip


def colour(name: str) -> str:
    """A colour of Grafana's as it is drawn."""
    return _NAMED[name]


def steps_colour(steps: list[dict[str, Any]], value: float) -> str:
    """The colour of the highest step that a value reaches."""
    reached = [step for step in steps if step.get("value") is None or value >= step["value"]]
    return colour(reached[-1]["color"])


def wide(text: str, size: float) -> float:
    """How wide a text is, in inches."""
    measured = TextToPath().get_text_width_height_descent(
        text.replace("$", r"\$"), FontProperties(size=size), ismath=False
    )
    return float(measured[0]) / _POINTS_PER_INCH


def cut(text: str, size: float, room: float) -> str:
    """A text, or as much of it as there is room for."""
    if wide(text, size) <= room:
        return text
    while text and wide(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text.rstrip()}…"


@dataclass(frozen=True)
class Card:
    """A rectangle of the sheet, in inches from its upper left corner."""

    figure: Figure
    left: float
    top: float
    width: float
    height: float

    def frame(self, title: str) -> "Card":
        """Draw the border and the title; what is left for the panel's content."""
        across, down = self.figure.get_size_inches()
        corner = (self.left / across, 1 - (self.top + self.height) / down)
        size = (self.width / across, self.height / down)
        self.figure.add_artist(
            Rectangle(
                corner,
                *size,
                facecolor=CARD,
                edgecolor=RULE,
                linewidth=0.8,
                transform=self.figure.transFigure,
                zorder=-1,
            )
        )
        self.write(
            0.1, 0.17, cut(title, BOLD * _BOLDER, self.width - 0.2), size=BOLD, weight="bold"
        )
        return Card(
            self.figure, self.left + 0.1, self.top + 0.3, self.width - 0.2, self.height - 0.36
        )

    def write(self, right: float, down: float, text: str, **style: Any) -> None:
        """Write at so much from the card's upper left corner."""
        across, high = self.figure.get_size_inches()
        given: dict[str, Any] = {"size": PLAIN, "color": INK, "va": "center", "parse_math": False}
        self.figure.text(
            (self.left + right) / across,
            1 - (self.top + down) / high,
            text,
            **(given | style),
        )

    def axes(self, *, left: float = 0, bottom: float = 0, top: float = 0) -> Axes:
        """Axes inside the card, without a border, so much smaller on these sides."""
        across, down = self.figure.get_size_inches()
        made = self.figure.add_axes(
            (
                (self.left + left) / across,
                1 - (self.top + self.height - bottom) / down,
                (self.width - left) / across,
                (self.height - bottom - top) / down,
            )
        )
        made.set_facecolor("none")
        made.spines[:].set_visible(False)
        made.tick_params(length=0, labelsize=SMALL, labelcolor=FAINT, pad=3)
        return made

    def no_data(self) -> None:
        """Say that there is nothing to show."""
        self.write(self.width / 2, self.height / 2, "No data", ha="center", color=FAINT)
