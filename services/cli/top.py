"""The command `top`: lanes at a glance, live or once."""

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from laneway.services.cli.output import print_json
from laneway.services.cli.run import DEFAULT_FOLDER

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from laneway.services.cli.top_sources import Source
    from laneway.services.cli.top_text import Told

PIPED_WIDTH = 120
SCRAPED_WINDOW_S, PROMETHEUS_WINDOW_S = 15.0, 120.0
"""A scrape every two seconds fills the one; Prometheus scrapes four times or so in the other."""
INTERRUPTED = 130
"""As shells say that Ctrl-C ended something."""

CURE = (
    "`make run` starts a platform here; or say where to read: --target HOST:PORT, --prometheus URL."
)

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        metavar="HOST:PORT",
        help="Read the /metrics of this worker or gateway; may be given several times.",
    ),
]
Prometheus = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Ask this Prometheus. Default: LANEWAY_PROMETHEUS_URL, else the platform on this "
        "machine.",
    ),
]
Match = Annotated[
    str, typer.Option(help="With Prometheus: label matchers, such as 'namespace=\"prod\"'.")
]
Data = Annotated[
    Path | None,
    typer.Option(help="Read the platform that keeps its data here. Default: .laneway"),
]
Every = Annotated[
    float, typer.Option(min=0.5, metavar="SECONDS", help="Time between two readings.")
]
Window = Annotated[
    float | None,
    typer.Option(
        min=1,
        metavar="SECONDS",
        help="What rates and p95 are reckoned over. Default: 15, with Prometheus 120. With --once "
        "and without Prometheus: the time between two readings, else there is one.",
    ),
]
Once = Annotated[bool, typer.Option("--once", help="One frame of plain text, and the end.")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One frame as JSON; docs/top.md tells its keys.")
]


def top(
    target: Targets = None,
    prometheus: Prometheus = None,
    match: Match = "",
    data: Data = None,
    every: Every = 2.0,
    window: Window = None,
    once: Once = False,
    as_json: AsJson = False,
) -> None:
    """Lanes at a glance, from their metrics: what waits, runs, ended and is wrong; Ctrl-C ends it.

    Once if the output is no terminal. Exit code 1 if there is nothing to read.
    """
    live = sys.stdout.isatty() and not (once or as_json)
    try:
        source, scraped = _source(target, prometheus, match, data, window)
        board = _Board(source, _order())
        told = board.read()
        if live:
            from laneway.services.cli.top_live import watch

            raise typer.Exit(watch(board.read, told, every))
        if window and scraped:
            time.sleep(window)
            told = board.read()
    except KeyboardInterrupt:
        raise typer.Exit(0 if live else INTERRUPTED) from None
    _print(told, as_json=as_json)


class _Board:
    """Reads frame after frame; a lane once seen stays, as its silence is worth seeing."""

    def __init__(self, source: "Source", order: list[str]) -> None:
        self._source, self._order = source, order
        self._known: set[str] = set()

    def read(self) -> "Told":
        from laneway.services.cli.top_text import tell

        told = tell(self._source.read(), self._order, self._known)
        self._known |= {lane.lane for lane in told.lanes}
        return told


def _order() -> list[str]:
    from laneway.tasks.queues import cached_catalogue
    from laneway.tasks.settings import current_settings

    return list(cached_catalogue(current_settings().queues_file))


def _print(told: "Told", *, as_json: bool) -> None:
    from laneway.services.cli.top_text import document, text_lines

    if as_json:
        print_json(document(told))
        return
    width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns
    for line in text_lines(told, width):
        typer.echo(line.text.rstrip())


def _source(
    targets: list[str] | None,
    prometheus: str | None,
    match: str,
    data: Path | None,
    window_s: float | None,
) -> "tuple[Source, bool]":
    """Where to read, and whether that is from endpoints."""
    from laneway.services.cli import top_sources as sources
    from laneway.services.local.endpoints import read_endpoints
    from laneway.tasks.settings import current_settings

    given = {"--target": targets, "--prometheus": prometheus, "--data": data}
    named = [name for name, value in given.items() if value]
    if len(named) > 1:
        raise typer.BadParameter(f"give one place to read: {' or '.join(named)}.")
    url = prometheus or (None if named else current_settings().prometheus_url)
    if url:
        _check_url(url)
        return sources.Prometheus(url, round(window_s or PROMETHEUS_WINDOW_S), match), False
    if match:
        raise typer.BadParameter("it chooses among Prometheus' series.", param_hint="--match")
    over_s = window_s or SCRAPED_WINDOW_S
    if targets:
        urls = {sources.shown_url(each): _metrics_url(each) for each in targets}
        source = next(iter(urls)) if len(urls) == 1 else f"{len(urls)} endpoints"
        cure = "See whether it is LANEWAY_HEALTH_BIND of a running worker."
        return sources.Endpoints(lambda: urls, source, over_s, cure), True
    folder = data or DEFAULT_FOLDER
    return sources.Endpoints(
        lambda: read_endpoints(folder), f"platform in {folder}", over_s, CURE
    ), True


def _metrics_url(target: str) -> str:
    url = target if "://" in target else f"http://{target}"
    parts = _check_url(url, "--target", "HOST:PORT, such as 127.0.0.1:9464")
    return url if parts.path.strip("/") else f"{url.rstrip('/')}/metrics"


def _check_url(
    url: str,
    option: str = "--prometheus or LANEWAY_PROMETHEUS_URL",
    form: str = "http(s)://HOST:PORT",
) -> "SplitResult":
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        # It may hold a password.
        shown = url.rpartition("@")[2]
        raise typer.BadParameter(f"{shown!r} is no {form}.", param_hint=option)
    return parts
