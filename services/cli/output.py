"""How commands answer: a table for people, JSON for programs."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.text import Text

PIPED_WIDTH = 200
SHORT = 12
"""A column of cells up to this length stays on one line, if that leaves the others room."""
ROOM = 20

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(value: object) -> None:
    """One JSON document on standard output."""
    typer.echo(json.dumps(value, default=_plain, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table as wide as the terminal allows, or for a pipe 200 columns; every cell is shown whole, and as it is.

    Brackets in a cell are text, as in `[1]`; one that is to have a colour is a rich Text.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, "bold"), title_justify="left")
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
    cells = [[_cell(value) for value in row] for row in rows]
    whole = _whole_columns(columns, cells, console.width)
    for number, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=number in whole)
    for row in cells:
        table.add_row(*row)
    console.print(table)


def _whole_columns(
    columns: Sequence[str], cells: Sequence[Sequence["Text"]], width: int
) -> set[int]:
    """The columns that are not to be folded: the first, and if there is room the short ones."""
    longest = [
        max(len(column), *(len(row[number]) for row in cells), 0)
        for number, column in enumerate(columns)
    ]
    short = {0} | {number for number, length in enumerate(longest) if length <= SHORT}
    room = width - sum(longest[number] + len(" │ ") for number in short) - 1
    return short if room >= ROOM * (len(columns) - len(short)) else {0}


def print_fields(title: str, fields: Mapping[str, object]) -> None:
    """A table of two columns, empty fields left out."""
    rows = [(name, value) for name, value in fields.items() if value is not None]
    print_table(title, ("field", "value"), rows)


def _cell(value: object) -> "Text":
    from rich.text import Text

    if isinstance(value, Text):
        return value
    return Text("" if value is None else str(value))


def _plain(value: object) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)
