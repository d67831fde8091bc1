"""The table: one row a fault and arm."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from inspect import getdoc

from faults.fault import Fault, Row

HEAD = (
    "fault",
    "arm",
    "injected",
    "accepted",
    "ran",
    "lost",
    "repeated, in flight",
    "repeated, no cause",
    "dead letters",
    "attempts",
    "recovery p50 / p99, s",
)


INTRODUCTION = """\
{day}, {size} run, seed {seed}; written by `{command}`. \
"""

COLUMNS = """\
*Lost*: accepted, and neither done nor kept as a dead letter once everything had settled.
*Repeated*: ended a second time; *in flight*: it ran on a worker that was killed, or out of Redis's
sight for longer than its lease. *Recovery*: from the fault to the next start of each task that it
cut.
"""


@dataclass(frozen=True)
class Run:
    """What was run."""

    day: date
    size: str
    seed: int
    cores: int
    versions: dict[str, str]


def as_markdown(run: Run, rows: Iterable[Row], kinds: Iterable[type[Fault]]) -> str:
    """The page: what was run, the columns, the table, every broken promise, and each fault."""
    rows = list(rows)
    versions = ", ".join(f"{name} {number}" for name, number in run.versions.items())
    lines = [
        "# The loss ledger",
        "",
        INTRODUCTION.format(day=run.day, size=run.size, seed=run.seed, command=command(run)),
        f"{versions}; {run.cores} cores.",
        "",
        COLUMNS,
        "",
        _row(HEAD),
        _row("---" if i < 2 else "---:" for i in range(len(HEAD))),
        *(_row(cells(row)) for row in rows),
        "",
    ]
    broken = [(row, text) for row in rows for text in row.broken]
    if broken:
        lines += ["Further promises that were not kept:", ""]
        lines += [f"- {row.fault}, {row.arm}: {_one_line(text)}" for row, text in broken]
        lines.append("")
    shown = {row.fault for row in rows}
    lines += ["## The faults", "", _paragraphs(Fault), ""]
    for kind in kinds:
        if kind.name in shown:
            lines += [f"**{kind.name}.** {_paragraphs(kind)}", ""]
    return "\n".join(lines)


def command(run: Run) -> str:
    """What makes this table anew."""
    full = "" if run.size == "medium" else f" --{run.size}"
    return f"python -m faults{full} --seed {run.seed}"


def cells(row: Row) -> tuple[str, ...]:
    """The row's numbers as text."""
    verdict = row.verdict
    return (
        row.fault,
        row.arm,
        str(row.injected),
        str(verdict.accepted),
        str(verdict.ran),
        str(len(verdict.lost)),
        str(verdict.repeated_in_flight),
        str(verdict.repeated_without_cause),
        str(row.dead),
        str(verdict.attempts),
        " / ".join("-" if s is None else f"{s:.1f}" for s in row.recovery_s),
    )


def _row(texts: Iterable[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _paragraphs(kind: type[Fault]) -> str:
    return " ".join((getdoc(kind) or "").split())


def _one_line(text: str) -> str:
    return text.strip().splitlines()[-1]
