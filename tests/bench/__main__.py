"""Laneway and its peers side by side on one Redis. It reports and asserts nothing.

    make bench                                          # all kinds, an hour or two
    PYTHONPATH=tests python -m bench --quick            # a minute or two, to see that it works
    PYTHONPATH=tests python -m bench --kinds drain latency --only laneway taskiq --rounds 5

Every run is bounded, starts on an emptied Redis of the bench's own, and ends what it started by
its process id. The arms of a kind take turns, a round after another, so that what disturbs the
machine for minutes disturbs them all. A failing arm is told of, and the others go on.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import redis

from bench.arms import Arm
from bench.environments import OWN, PINS, EnvironmentFailed, Environments, default_cache
from bench.kinds import DEFAULT_KINDS, KINDS, Kind
from bench.machine import facts, wait_until_quiet
from bench.report import NOISE_PERCENT, read_rows, write_page
from bench.stage import RunFailed, Stage
from bench.tables import Row, failures, runs_by_kind, table

DEFAULT_OUT = Path(".cache/bench/runs.jsonl")
QUICK = {"kinds": ["drain", "enqueue"], "rounds": 1, "count": 1_000}

FAILURES = (RunFailed, EnvironmentFailed, redis.RedisError, OSError, subprocess.SubprocessError)
"""What may go wrong with one run; it is told of, and the next one begins."""

SHOWN = ("rate", "p50_ms", "p99_ms", "first_task_s", "worker_cpu_us", "others_percent")


@dataclass
class Bench:
    """One start of the bench."""

    stage: Stage
    out: Path
    only: list[str]
    rounds: int
    count: int | None
    session: str
    noise_percent: float
    patience_s: float

    def run(self, kinds: list[Kind]) -> None:
        """All kinds, each with all its arms, round by round."""
        self._write({"kind": "machine", **self._machine(kinds)})
        for kind in kinds:
            for number in range(self.rounds):
                for arm in kind.chosen(self.only):
                    figures = self._figures(kind, arm)
                    self._write({"kind": kind.name, "arm": arm.name, "round": number, **figures})
                    _tell(kind, arm, number, figures)

    def _figures(self, kind: Kind, arm: Arm) -> dict[str, Any]:
        load = kind.load_of(arm)
        if self.count is not None:
            load = replace(load, count=max(1, min(load.count, self.count)))
        wait_until_quiet(self.noise_percent, self.patience_s)
        try:
            with self.stage.run(arm, load) as run:
                return {"count": load.count, **kind.measure(run)}
        except FAILURES as error:
            return {"count": load.count, "error": str(error).strip() or type(error).__name__}

    def _machine(self, kinds: list[Kind]) -> dict[str, Any]:
        wanted = {
            name
            for kind in kinds
            for arm in kind.chosen(self.only)
            for name in (arm.environment, arm.producer.environment)
        }
        versions: dict[str, str] = {}
        for name in (OWN, *PINS):
            if name in wanted:
                try:
                    versions |= self.stage.environments.versions(name)
                except EnvironmentFailed as error:
                    print(error, file=sys.stderr)
        told = self.stage.server(aof=False).client.info("server")
        return {"facts": facts(), "redis": told["redis_version"], "versions": versions}

    def _write(self, row: Row) -> None:
        """Appended at once: what was measured outlives whatever happens next."""
        with self.out.open("a") as file:
            file.write(json.dumps({"session": self.session, **row}) + "\n")


def _tell(kind: Kind, arm: Arm, number: int, figures: dict[str, Any]) -> None:
    shown = " ".join(f"{key}={figures[key]:,.2f}" for key in SHOWN if key in figures)
    told = f"FAILED: {figures['error'].splitlines()[0]}" if "error" in figures else shown
    print(f"{time.strftime('%H:%M:%S')} {kind.name} {number + 1} {arm.name}: {told}", flush=True)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--kinds", nargs="+", choices=list(KINDS), metavar="KIND", help=f"of {', '.join(KINDS)}")
    add("--only", nargs="+", default=[], metavar="WORD", help="arms with one of these in the name")
    add("--rounds", type=int, help="runs of each arm; 5 if not given")
    add("--count", type=int, help="most tasks of a run, at 200/s in `latency`")
    add("--out", type=Path, default=DEFAULT_OUT, metavar="FILE", help="JSON lines, appended")
    add("--report", type=Path, metavar="FILE", help="a page to write tables and chart into, of all")
    add("--quick", action="store_true", help="few tasks, one round, two kinds")
    add("--limit", type=float, default=120.0, metavar="S", help="longest wait for a run's tasks")
    add(
        "--noise", type=float, default=NOISE_PERCENT, metavar="PERCENT", help="of others, of a core"
    )
    add("--patience", type=float, default=0.0, metavar="S", help="longest wait for others to rest")
    add("--cache", type=Path, default=default_cache(), metavar="FOLDER", help="peers' environments")
    asked = parser.parse_args()
    defaults = QUICK if asked.quick else {"kinds": DEFAULT_KINDS, "rounds": 5, "count": None}
    for name, value in defaults.items():
        if getattr(asked, name) is None:
            setattr(asked, name, value)
    return asked


def _end(*_: object) -> NoReturn:
    sys.exit("ended before all was measured")


def main() -> None:
    asked = _asked()
    # So that what was started is ended on this signal too.
    signal.signal(signal.SIGTERM, _end)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    session = datetime.now(UTC).isoformat(timespec="seconds")
    with ExitStack() as closing:
        folder = closing.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        stage = Stage(Environments(asked.cache), Path(folder), asked.limit, closing)
        bench = Bench(
            stage=stage,
            out=asked.out,
            only=asked.only,
            rounds=asked.rounds,
            count=asked.count,
            session=session,
            noise_percent=asked.noise,
            patience_s=asked.patience,
        )
        bench.run([KINDS[name] for name in asked.kinds])
    rows = read_rows(asked.out)
    for runs in runs_by_kind([r for r in rows if r["session"] == session], asked.noise):
        print("", runs.kind.title, *table(runs), *failures(runs), sep="\n")
    if asked.report is not None:
        write_page(asked.report, rows, asked.noise)


if __name__ == "__main__":
    main()
