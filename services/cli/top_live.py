"""The live view of `laneway top`: frame after frame on a terminal, until Ctrl-C."""

import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from laneway.services.cli.painter import Line, Painter
from laneway.services.cli.top_sources import NothingRead
from laneway.services.cli.top_table import clean
from laneway.services.cli.top_text import Told, text_lines

TERMINATED = 143
"""As shells say that SIGTERM ended something."""
USUAL_SIZE = (80, 24)


def watch(read: Callable[[], Told], told: Told, every_s: float) -> int:
    """Show frames, beginning with this one, until Ctrl-C or SIGTERM.

    A reading that finds nothing leaves the last frame and says so: what is watched may come back.

    Returns:
        The exit code.
    """
    ending, silence = _Ending(), ""
    painter = _painter()
    try:
        with ending.listening(painter.forget), _no_echo():
            while True:
                due_s = time.monotonic() + every_s
                with ending.put_off():
                    columns, rows = _terminal_size()
                    painter.paint(live_lines(told, columns, rows, silence), (columns, rows))
                time.sleep(max(0.0, due_s - time.monotonic()))
                try:
                    told, silence = read(), ""
                except NothingRead as error:
                    silence = str(error)
    except _Ended as ended:
        return ended.code


def live_lines(told: Told, columns: int, rows: int, silence: str = "") -> list[Line]:
    """A frame that leaves the last column and line free: a cursor there does odd things."""
    width, height = max(1, columns - 1), max(1, rows - 1)
    if not silence:
        return text_lines(told, width, height)
    note = Line(clean(f"! no news since: {silence}", width), "trouble")
    return [*text_lines(told, width, max(1, height - 1)), note][-height:]


class _Ended(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class _Ending:
    """Signals that end the view, never in the middle of a picture: the cursor would stay there."""

    def __init__(self) -> None:
        self._painting = False
        self._code: int | None = None

    @contextmanager
    def listening(self, on_return: Callable[[], None]) -> Iterator[None]:
        """Heed SIGINT and SIGTERM, and the return from Ctrl-Z."""
        handlers = {
            signal.SIGINT: lambda _number, _frame: self._end(0),
            signal.SIGTERM: lambda _number, _frame: self._end(TERMINATED),
            signal.SIGCONT: lambda _number, _frame: self._returned(on_return),
        }
        before = {number: signal.signal(number, handle) for number, handle in handlers.items()}
        try:
            yield
        finally:
            for number, handle in before.items():
                signal.signal(number, handle)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Let what is inside end first."""
        self._painting = True
        try:
            yield
        finally:
            self._painting = False
        if self._code is not None:
            raise _Ended(self._code)

    def _end(self, code: int) -> None:
        self._code = code
        if not self._painting:
            raise _Ended(code)

    def _returned(self, on_return: Callable[[], None]) -> None:
        on_return()
        _silence_keys()


def _painter() -> Painter:
    from rich.console import Console

    console = Console()
    coloured = console.color_system is not None and not console.no_color

    def write(text: str) -> None:
        # In one piece, and waited for: a slow line gets fewer frames, not later ones.
        sys.stdout.write(text)
        sys.stdout.flush()

    return Painter(write, coloured=coloured)


def _terminal_size() -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        return USUAL_SIZE
    return columns or USUAL_SIZE[0], rows or USUAL_SIZE[1]


@contextmanager
def _no_echo() -> Iterator[None]:
    """Keep keys from writing into the picture; afterwards they write again, those typed are gone."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    _silence_keys()
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, before)


def _silence_keys() -> None:
    if sys.stdin.isatty():
        now = termios.tcgetattr(sys.stdin)
        now[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, now)
