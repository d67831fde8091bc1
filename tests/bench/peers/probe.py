"""What a task of the bench does: two time stamps into a memory-mapped file of its process.

It costs a microsecond or two, needs no library, and works in forked children and in threads.
The peers' processes import it by its bare name, the bench as `bench.peers.probe`.
"""

import mmap
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

WAITS_LIMIT = 65_536
"""Waits that one process notes; later ones are counted alone."""

MODULES_FILE = "modules.txt"

_FIRST, _LAST, _ENDED, _WAITED, _WAITS = range(5)
"""The cells of a sheet: first start, last end, tasks ended, waits noted, and then the waits."""

_CELL_BYTES = 8
_SHEET_BYTES = (_WAITS + WAITS_LIMIT) * _CELL_BYTES


def given(name: str) -> str:
    """What the bench handed to this process under BENCH_ and this name; empty if nothing."""
    return os.environ.get(f"BENCH_{name}", "")  # noqa: TID251 - peers know no settings of ours


def keeps_results() -> bool:
    return given("RESULTS") == "keep"


def noop(number: int, sent_s: float, payload: str = "") -> int:
    """The task. `sent_s` is the producer's clock just before it sent, 0 for what only warms up."""
    began_s = time.time()
    with _lock:
        cells = _cells()
        if not cells[_ENDED]:
            cells[_FIRST] = began_s
        noted = int(cells[_WAITED])
        if sent_s and noted < WAITS_LIMIT:
            cells[_WAITS + noted] = began_s - sent_s
            cells[_WAITED] = noted + 1
        cells[_ENDED] += 1
        cells[_LAST] = time.time()
    return number


_lock = threading.Lock()
_open: dict[int, memoryview] = {}


def _cells() -> memoryview:
    """This process's sheet; a forked child makes one of its own."""
    pid = os.getpid()
    if pid not in _open:
        folder = Path(given("STAMPS"))
        with (folder / f"{pid}.stamps").open("w+b") as file:
            file.truncate(_SHEET_BYTES)
            _open[pid] = memoryview(mmap.mmap(file.fileno(), _SHEET_BYTES)).cast("d")
        if given("NOTE_MODULES"):
            # In the order of their import, so that another process can import them alike.
            (folder / MODULES_FILE).write_text("\n".join(sys.modules))
    return _open[pid]


@dataclass(frozen=True)
class Stamps:
    """What the tasks of a run have noted so far, all processes together."""

    ended: int
    first_start_s: float
    last_end_s: float
    waits_s: list[float]

    @property
    def rate(self) -> float:
        """Tasks a second, from the first start to the last end."""
        return self.ended / (self.last_end_s - self.first_start_s) if self.ended else 0.0


def count_ended(folder: Path) -> int:
    """How many tasks of a run have ended; cheap enough to ask all the time."""
    head_bytes = _WAITS * _CELL_BYTES
    total = 0
    for path in folder.glob("*.stamps"):
        with path.open("rb") as file:
            head = file.read(head_bytes)
        if len(head) == head_bytes:
            total += int(memoryview(head).cast("d")[_ENDED])
    return total


def read_stamps(folder: Path) -> Stamps:
    """Everything that the tasks of a run have noted; the waits in order."""
    sheets = [memoryview(path.read_bytes()).cast("d") for path in folder.glob("*.stamps")]
    sheets = [sheet for sheet in sheets if sheet[_ENDED]]
    return Stamps(
        ended=sum(int(sheet[_ENDED]) for sheet in sheets),
        first_start_s=min((sheet[_FIRST] for sheet in sheets), default=0.0),
        last_end_s=max((sheet[_LAST] for sheet in sheets), default=0.0),
        waits_s=sorted(
            wait for sheet in sheets for wait in sheet[_WAITS : _WAITS + int(sheet[_WAITED])]
        ),
    )
