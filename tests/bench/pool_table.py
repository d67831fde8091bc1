"""What tasks can do to a pool, and what then is told of them: Laneway's pool beside Celery's.

Run it from the repository: `PYTHONPATH=tests python -m bench.pool_table`. It asserts nothing: for
Laneway's pool `platform/test_pool_cases.py` does.
"""

import logging
import os
import sys
import tempfile
from pathlib import Path

from laneway.services.worker.pool import CeleryProcessPool, ProcessPool
from pool_cases import CASES, ONCE_EACH, Case, Seen, observe


def seen_by(case: Case, pool_class: type) -> Seen:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return observe(case, pool_class, Path(folder))
        except Exception as error:  # noqa: BLE001 - that it is raised is what is to be seen
            return Seen([], f"the worker's loop broke: {type(error).__name__}")


def cell(seen: Seen, expected: list[list[str]]) -> str:
    told = "; ".join(" + ".join(events) or "nothing" for events in seen.told) or "-"
    others = "" if seen.neighbours == ONCE_EACH else f" (others: {seen.neighbours})"
    mark = "" if seen.told == expected and not others else " **!**"
    return f"{told}{others}{mark}"


def main() -> None:
    logging.disable(logging.CRITICAL)
    # Some of the tasks write to descriptor 1, and there is nothing to be seen in that.
    table = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    names = set(sys.argv[1:])
    print("| case | Laneway | Celery |\n|---|---|---|", file=table)
    for case in CASES:
        if names and case.name not in names:
            continue
        cells = [
            cell(seen_by(case, pool), case.expected) for pool in (ProcessPool, CeleryProcessPool)
        ]
        print(f"| {case.name} | {' | '.join(cells)} |", file=table, flush=True)


if __name__ == "__main__":
    main()
