"""Write the tables and the chart of a file of runs into a page; its prose stays as it is.

    PYTHONPATH=tests python -m bench.report .cache/bench/runs.jsonl docs/performance.md

The tables go between two marks of the page, the chart beside it under its name with `.svg`.
"""

import argparse
import json
from pathlib import Path

from bench.chart import chart
from bench.tables import Row, failures, runs_by_kind, table

BEGIN = "<!-- tables: written by make bench, between these marks -->"
END = "<!-- end of tables -->"

NOISE_PERCENT = 30.0
CHARTED = ("drain", "results")


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of runs; an unreadable line is one that was being written at a crash."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"left out a line of {path} that is no JSON")
    return rows


def tables_of(rows: list[Row], noise_percent: float = NOISE_PERCENT) -> str:
    """All tables, with what a reader needs to know of the machine and the runs."""
    kinds = runs_by_kind(rows, noise_percent)
    sections = [_facts(rows)]
    for runs in kinds:
        lines = [f"### {runs.kind.title}", "", *table(runs)]
        failed = failures(runs)
        if failed:
            lines += ["", *failed]
        sections.append("\n".join(lines))
    return "\n\n".join(filter(None, sections))


def write_page(path: Path, rows: list[Row], noise_percent: float = NOISE_PERCENT) -> None:
    """Put the tables into a page, made if it is not there, and the chart beside it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    page = path.read_text() if path.exists() else "# Performance\n"
    if BEGIN not in page:
        page = f"{page.rstrip()}\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    picture = path.with_suffix(".svg")
    panels = [r for r in runs_by_kind(rows, noise_percent) if r.kind.name in CHARTED]
    shown = ""
    if panels:
        picture.write_text(chart(panels))
        shown = f"![Tasks a second, side by side]({picture.name})\n\n"
    written = f"{BEGIN}\n\n{shown}{tables_of(rows, noise_percent)}\n\n{END}"
    path.write_text(f"{before}{written}{after}")


def _facts(rows: list[Row]) -> str:
    machines = [row for row in rows if row["kind"] == "machine"]
    if not machines:
        return ""
    last = machines[-1]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items())
    facts = ", ".join((*last["facts"].values(), f"Redis {last['redis']}"))
    days = sorted({row["session"][:10] for row in machines})
    measured = " and ".join(dict.fromkeys((days[0], days[-1])))
    return f"Measured on {measured} on {facts}.\n\nVersions: {versions}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="a file that the bench wrote")
    parser.add_argument("page", type=Path, nargs="?", help="if not given: to the terminal")
    parser.add_argument("--noise", type=float, default=NOISE_PERCENT, metavar="PERCENT")
    asked = parser.parse_args()
    rows = read_rows(asked.runs)
    if asked.page is None:
        print(tables_of(rows, asked.noise))
    else:
        write_page(asked.page, rows, asked.noise)


if __name__ == "__main__":
    main()
