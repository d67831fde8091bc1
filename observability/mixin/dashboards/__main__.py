"""Writes the dashboards, and draws them when a Prometheus is given.

python -m laneway.observability.mixin.dashboards charts/laneway/files/dashboards
"""

import argparse
import json
import sys
import time
from pathlib import Path

from laneway.observability.mixin.dashboards.boards import BOARDS


def main() -> None:
    """Write what the arguments ask for."""
    asked = _arguments()
    asked.json.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        _write(asked.json / f"{board.name}.json", board.json())
    if asked.prometheus:
        _draw(asked)


def _draw(asked: argparse.Namespace) -> None:
    # Needed for pictures alone.
    from laneway.observability.mixin.drawing.picture import draw
    from laneway.observability.mixin.drawing.prometheus import Prometheus
    from laneway.observability.mixin.drawing.span import Span

    end_s = asked.end or time.time()
    span = Span(end_s - asked.hours * 3_600, end_s, asked.scrape)
    for board in BOARDS:
        picture = draw(json.loads(board.json()), Prometheus(asked.prometheus), span)
        _write(asked.pictures / f"{board.name}.svg", picture)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    sys.stdout.write(f"{path}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("json", type=Path, help="folder for the dashboards")
    parser.add_argument("--prometheus", help="draw them, of what this Prometheus has")
    parser.add_argument("--pictures", type=Path, default=Path("docs/dashboards"))
    parser.add_argument("--hours", type=float, default=6, help="how long a time to draw")
    parser.add_argument("--end", type=float, help="until when, in seconds since the epoch")
    parser.add_argument("--scrape", type=float, default=15, help="seconds between two scrapes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
