"""Markdown tables of runs: medians, ranges, and ratios to a base within the same rounds."""

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.arms import BASE, ENQUEUE_BASE, OBSERVED_BASE
from bench.kinds import KINDS, Kind

Row = dict[str, Any]

MARK = "\\*"
"""Follows the number of runs where none was undisturbed."""


@dataclass(frozen=True)
class Column:
    """One figure of a run in a table."""

    head: str
    key: str
    digits: int = 0


COST = (
    Column("worker CPU µs/task", "worker_cpu_us"),
    Column("Redis CPU µs/task", "redis_cpu_us"),
    Column("Redis commands/task", "commands", 1),
    Column("round trips/task", "round_trips", 2),
)
RATE = Column("tasks/s", "rate")

COLUMNS: dict[str, tuple[Column, ...]] = {
    "latency": (
        Column("p50 ms", "p50_ms", 2),
        Column("p90 ms", "p90_ms", 2),
        Column("p99 ms", "p99_ms", 2),
        Column("longest ms", "max_ms", 1),
        Column("worker CPU, % of a core", "worker_cpu_percent"),
    ),
    "observed": (
        RATE,
        Column("worker CPU µs/task", "worker_cpu_us"),
        Column("CPU beside µs/task", "beside_cpu_us"),
        Column("Redis CPU µs/task", "redis_cpu_us"),
        Column("Redis commands/task", "commands", 1),
    ),
    "enqueue": (
        RATE,
        Column("producer CPU µs/task", "producer_cpu_us"),
        Column("Redis CPU µs/task", "redis_cpu_us"),
        Column("round trips/task", "round_trips", 2),
    ),
    "cold": (
        Column("first task after, s", "first_task_s", 2),
        Column("of it imports, s", "imports_s", 2),
        Column("beyond imports, s", "beyond_s", 2),
    ),
}

BASES = {"enqueue": ENQUEUE_BASE, "observed": OBSERVED_BASE}
"""What rates are compared with; a kind without an entry with BASE."""


class Runs:
    """The runs of one kind, by arm. Failed and disturbed ones count where there are no others."""

    def __init__(self, kind: Kind, rows: Iterable[Row], noise_percent: float) -> None:
        self.kind = kind
        self.all: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            if row["kind"] == kind.name:
                self.all[row["arm"]].append(row)
        self.good = {name: [r for r in rows if "error" not in r] for name, rows in self.all.items()}
        self.clean = {
            name: [r for r in rows if r.get("others_percent", 0.0) <= noise_percent]
            for name, rows in self.good.items()
        }

    def counted(self, arm: str) -> list[Row]:
        return self.clean.get(arm) or self.good.get(arm, [])

    def n(self, arm: str) -> str:
        """How many runs a line stands on, of how many."""
        mark = "" if self.clean.get(arm) or not self.good.get(arm) else MARK
        return f"{len(self.counted(arm))}/{len(self.all[arm])}{mark}"

    def ratios(self, arm: str, base: str, key: str = "rate") -> list[float]:
        """Of each run to the base's run of the same round."""
        by_round = {_round(row): row[key] for row in self.counted(base)}
        return [
            row[key] / by_round[_round(row)]
            for row in self.counted(arm)
            if by_round.get(_round(row))
        ]


def cell(values: list[float], digits: int) -> str:
    """Median (least to most); one figure where they look alike, a dash where there is none."""
    if not values:
        return "-"
    shown, least, most = (
        f"{value:,.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return shown if least == most else f"{shown} ({least} to {most})"


def table(runs: Runs) -> list[str]:
    """The lines of one kind's table."""
    if runs.kind.name == "commands":
        return _commands(runs)
    columns = COLUMNS.get(runs.kind.name, (RATE, *COST))
    base = BASES.get(runs.kind.name, BASE)
    compared = columns[0] == RATE and base in runs.all
    heads = ["", *(column.head for column in columns), "n"]
    if compared:
        heads.insert(2, f"times {_title(runs.kind, base)}")
    lines = _head(heads)
    for arm in _in_order(runs):
        cells = [cell([row[c.key] for row in runs.counted(arm)], c.digits) for c in columns]
        if compared:
            cells.insert(1, cell(runs.ratios(arm, base), 2))
        lines.append(_line([_title(runs.kind, arm), *cells, runs.n(arm)]))
    return lines


def failures(runs: Runs) -> list[str]:
    """A line for each arm some of whose runs have no figures, or ran a task again."""
    lines = []
    for arm in _in_order(runs):
        failed = [_reason(row["error"]) for row in runs.all[arm] if "error" in row]
        if failed:
            reasons = "; ".join(sorted(set(failed)))
            lines.append(f"- {_title(runs.kind, arm)}: {len(failed)} without figures ({reasons})")
        repeated = sum(row.get("repeated", 0) for row in runs.good[arm])
        if repeated:
            lines.append(f"- {_title(runs.kind, arm)}: {repeated} tasks ran twice")
    return lines


def _commands(runs: Runs) -> list[str]:
    lines = _head(["", "10 s idle", "one task", "1,000 tasks"])
    for arm in _in_order(runs):
        cells = [_by_name(runs.counted(arm), window) for window in ("idle", "one", "many")]
        lines.append(_line([_title(runs.kind, arm), *cells]))
    return lines


def _by_name(rows: list[Row], window: str) -> str:
    """The sum of a window's calls and the commonest of them, medians of the runs."""
    names = {name for row in rows for name in row["calls"][window]}
    calls = {
        name: statistics.median(row["calls"][window].get(name, 0) for row in rows) for name in names
    }
    ordered = sorted(calls.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{name} {n:g}" for name, n in ordered if n)
    return f"**{sum(calls.values()):g}**: {shown}" if shown else "none"


def _reason(error: str) -> str:
    """What went wrong, without the paths and last words that only its own machine understands."""
    return error.splitlines()[0].partition(":")[0].partition(". ")[0]


def _in_order(runs: Runs) -> list[str]:
    known = [arm.name for arm in runs.kind.arms]
    return [name for name in known if name in runs.all]


def _title(kind: Kind, name: str) -> str:
    return next(arm.label for arm in kind.arms if arm.name == name)


def _round(row: Row) -> tuple[str, int]:
    return row["session"], row["round"]


def _head(heads: list[str]) -> list[str]:
    return [_line(heads), "|" + "---|" * len(heads)]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def runs_by_kind(rows: list[Row], noise_percent: float) -> list[Runs]:
    """The kinds that have rows, in the order of KINDS."""
    made = [Runs(kind, rows, noise_percent) for kind in KINDS.values()]
    return [runs for runs in made if runs.all]
