"""Runs the list of faults in both arms, two at a time, and prints one table.

PYTHONPATH=tests python -m faults [--full] [--only NAME ...] [--seed N] [--arm laneway|stock]
"""

import argparse
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from faults.catalogue import FAULTS
from faults.fault import Fault, Row, live_through
from faults.ledger import Verdict
from faults.stage import ABORT, open_stage
from faults.table import Run, as_markdown
from laneway.services.local.redis_server import redis_binary

ARMS = ("laneway", "stock")
JOBS = 3
LIMITS_S = {"short": 300.0, "medium": 900.0, "full": 7_200.0}
"""After which whatever still runs is ended, and told as not kept."""

LEDGER_PAGE = Path("docs/loss-ledger.md")
NOTHING = Verdict(0, 0, (), 0, 0, 0, ())


def run_one(kind: type[Fault], arm: str, times: int, seed: int, folder: Path) -> Row:
    """One fault in one arm, on a stage of its own. What goes wrong is a broken promise too."""
    began_s = time.monotonic()
    fault = kind()
    # The same moments in both arms, whatever else runs.
    rng = random.Random(f"{seed}:{fault.name}")
    verdict, dead, injected, broken = NOTHING, 0, 0, [f"the fault could not be run {times} times"]
    place = folder / f"{arm}-{fault.name.replace(' ', '-').replace(',', '')}"
    try:
        with open_stage(arm, fault.setup, place, rng) as stage:
            broken = stage.broken
            verdict, dead = live_through(fault, stage, times)
            injected = stage.injected
    except Exception:  # noqa: BLE001 - told in the table, and fails the run
        broken = [*broken, traceback.format_exc(limit=-3)]
    return Row(
        fault=fault.name,
        arm=arm,
        injected=injected,
        verdict=verdict,
        dead=dead,
        broken=tuple(broken),
        seconds=time.monotonic() - began_s,
    )


class Progress:
    """A line for each fault that is over."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._over = 0
        self._lock = threading.Lock()

    def tell(self, row: Row) -> None:
        with self._lock:
            self._over += 1
            verdict = row.verdict
            print(
                f"[{self._over}/{self._total}] {row.fault} / {row.arm}: {row.injected} injected, "
                f"accepted {verdict.accepted}, lost {len(verdict.lost)}, repeated "
                f"{verdict.repeated_in_flight} in flight, {verdict.repeated_without_cause} without "
                f"cause, {row.seconds:.0f} s",
                *(f"\n    {text}" for text in row.broken),
                flush=True,
            )


def run_all(
    faults: Iterable[tuple[type[Fault], int]],
    arms: Iterable[str],
    seed: int,
    jobs: int,
    keep: bool = False,
) -> list[Row]:
    """Every fault in every arm; at most `jobs` at a time."""
    arms = list(arms)
    units = [(fault, arm, times) for fault, times in faults for arm in arms]
    # What takes longest begins first, so that it does not end alone.
    by_length = sorted(units, key=lambda unit: -unit[2])
    progress = Progress(len(units))
    folder = Path(tempfile.mkdtemp(prefix="laneway-faults-"))

    def run(unit: tuple[type[Fault], str, int]) -> Row:
        fault, arm, times = unit
        row = run_one(fault, arm, times, seed, folder)
        progress.tell(row)
        return row

    pool = ThreadPoolExecutor(jobs)
    try:
        rows = {(row.fault, row.arm): row for row in pool.map(run, by_length)}
        return [rows[fault.name, arm] for fault, arm, _ in units]
    finally:
        pool.shutdown(cancel_futures=True)
        if keep:
            print(f"Logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def chosen(names: list[str], size: str) -> list[tuple[type[Fault], int]]:
    """Faults whose name holds one of these words, and how often each; all if none is named."""
    found = [
        (fault, getattr(fault.sizes, size))
        for fault in FAULTS
        if not names or any(name in fault.name for name in names)
    ]
    if names:  # asked for by name: at least once
        found = [(fault, times or 1) for fault, times in found]
    return [(fault, times) for fault, times in found if times]


def about(size: str, seed: int) -> Run:
    """What was run: when, on what, with which seed."""
    server = subprocess.run(
        [redis_binary(), "--version"], capture_output=True, text=True, check=False
    )
    words = dict(word.split("=", 1) for word in server.stdout.split() if "=" in word)
    versions = {
        "Python": platform.python_version(),
        "Redis": words.get("v", "unknown"),
        **{name: version(name) for name in ("laneway", "celery", "kombu", "redis")},
    }
    return Run(datetime.now(UTC).date(), size, seed, os.cpu_count() or 1, versions)


def options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every fault as often as promised")
    parser.add_argument("--short", action="store_true", help="the lane of `make test`")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="part of a name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--arm", choices=[*ARMS, "both"], default="both")
    parser.add_argument("--jobs", type=int, default=JOBS, help="faults at a time")
    parser.add_argument("--out", type=Path, help=f"write the page there, {LEDGER_PAGE} say")
    parser.add_argument("--keep", action="store_true", help="keep the logs of all processes")
    parser.add_argument("--list", action="store_true", help="print the faults and end")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 1 if Laneway broke a promise."""
    given = options(arguments)
    size = "full" if given.full else "short" if given.short else "medium"
    faults = chosen(given.only, size)
    if given.list or not faults:
        print("\n".join(f"{f.name} (short, medium, full: {f.sizes})" for f in FAULTS))
        return 0 if given.list else 2
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    arms = ARMS if given.arm == "both" else (given.arm,)
    began_s = time.monotonic()
    limit = threading.Timer(LIMITS_S[size], ABORT.set)
    limit.daemon = True
    limit.start()
    rows = run_all(faults, arms, given.seed, given.jobs, given.keep)
    limit.cancel()
    page = as_markdown(about(size, given.seed), rows, FAULTS)
    print(f"\n{page}\n{time.monotonic() - began_s:.0f} s")
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(page)
    return 0 if all(row.kept for row in rows if row.arm == "laneway") else 1


def _interrupt(*_: object) -> None:
    """Let every stage end what it has started, then go."""
    ABORT.set()
    sys.exit(130)
