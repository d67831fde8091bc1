"""A picture of lines on a terminal, of which only what changed is sent."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

_SGR = {"plain": "", "title": "\x1b[1m", "trouble": "\x1b[1;31m", "quiet": "\x1b[2m"}
_RESET = "\x1b[0m"
_CLEAR, _ERASE_BELOW, _ERASE_RIGHT = "\x1b[H\x1b[2J", "\x1b[J", "\x1b[K"


class Line(NamedTuple):
    """One line of a picture: printable ASCII, and how it looks."""

    text: str
    style: str = "plain"


class Painter:
    """Draws below what the terminal shows, and over its own last picture.

    No other screen is opened and nothing is cleared first, so that nothing flickers. A picture must
    be lower and narrower than the terminal.

    Args:
        write: Takes each change in one piece.
        coloured: Whether styles may be shown.
    """

    def __init__(self, write: Callable[[str], object], *, coloured: bool = True) -> None:
        self._write, self._coloured = write, coloured
        self._shown: list[Line] = []
        self._size: tuple[int, int] | None = None

    def paint(self, lines: Sequence[Line], size: tuple[int, int]) -> None:
        """Show these lines instead of the last; `size` is columns and rows of the terminal."""
        parts = []
        if self._size not in (None, size):
            # The terminal has wrapped what it showed: nobody knows where it stands now.
            self._shown = []
            parts.append(_CLEAR)
        self._size = size
        old, new = self._shown, list(lines)
        row = len(old)
        for number, line in enumerate(new):
            if number >= len(old):
                parts.append(_moved(row, number) + self._styled(line.style, line.text) + "\r\n")
                row = number + 1
            elif line != old[number]:
                parts.append(_moved(row, number) + self._changed(old[number], line))
                row = number
        end = _moved(row, len(new))
        parts.append(end + _ERASE_BELOW if len(new) < len(old) else end)
        self._shown = new
        if text := "".join(parts):
            self._write(text)

    def forget(self) -> None:
        """Draw anew below: the terminal shows other things now."""
        self._shown = []

    def _changed(self, old: Line, new: Line) -> str:
        """From the first change to the last, the cursor at the line's begin before and anywhere after."""
        if old.style != new.style:
            return self._styled(new.style, new.text) + _ERASE_RIGHT
        same = _alike(old.text, new.text)
        text, rest = new.text[same:], ""
        if len(old.text) == len(new.text):
            tail = _alike(old.text[same:][::-1], text[::-1])
            text = text[: len(text) - tail]
        elif len(new.text) < len(old.text):
            rest = _ERASE_RIGHT
        place = f"\x1b[{same + 1}G" if same else ""
        return place + self._styled(new.style, text) + rest

    def _styled(self, style: str, text: str) -> str:
        sgr = _SGR[style] if self._coloured and text else ""
        return f"{sgr}{text}{_RESET}" if sgr else text


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def _moved(row: int, wanted: int) -> str:
    """To the begin of another line of the picture."""
    if row > wanted:
        return f"\x1b[{row - wanted}A\r"
    return f"\x1b[{wanted - row}B\r" if row < wanted else ""
