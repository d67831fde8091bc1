"""`laneway up` and `laneway demo`: hold the platform until it is told to stop."""

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Event
from types import FrameType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from laneway.services.local.platform import Platform, Ports
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

TEND_S = 1.0
CUT_SHORT = 130
"""As shells say that Ctrl-C ended something."""


def run(
    folder: Path,
    ports: Ports,
    *,
    as_json: bool = False,
    demonstration: Callable[[Platform, Console, Event], bool] | None = None,
    once: bool = False,
) -> int:
    """Start the platform, demonstrate it if asked, hold it until SIGINT or SIGTERM, stop it.

    Returns:
        0; 1 when a part of the demonstration failed or a process did not stop cleanly; 130 when
        the demonstration was cut short.
    """
    stop = _stop_event()
    console = Console(stderr=as_json, soft_wrap=True, markup=False, emoji=False)
    catalogue = load_catalogue(load_settings().queues_file)
    console.print(f"Starting Redis, mail sink, {len(catalogue)} workers and the gateway …")
    platform = Platform(folder, catalogue, ports)
    shown = True
    with platform:
        if as_json:
            print(json.dumps(platform.as_dict()), flush=True)  # noqa: T201 - the answer
        if demonstration is not None:
            shown = demonstration(platform, console, stop)
        cut_short = stop.is_set() and not shown
        if not cut_short:
            _print_addresses(platform, console)
        if not once and not stop.is_set():
            console.print("Up. Ctrl-C stops it; what is queued then runs next time.")
            while not stop.wait(TEND_S):
                platform.tend(console.print)
        console.print("Draining …")
        codes = platform.stop()
    code = _farewell(codes, console)
    if cut_short:
        return CUT_SHORT
    return code if shown else 1


def _stop_event() -> Event:
    stop = Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return stop


def _farewell(codes: dict[str, int], console: Console) -> int:
    unclean = {name: code for name, code in codes.items() if code != 0}
    if unclean:
        named = ", ".join(f"{name} ({code})" for name, code in unclean.items())
        console.print(f"Not ended cleanly: {named}. Their logs say why.", style="red")
        return 1
    console.print("All ended; nothing is left running.")
    return 0


def _print_addresses(platform: Platform, console: Console) -> None:
    where = platform.addresses
    table = Table(title="Where to look", title_justify="left", show_header=False)
    rows = {
        "Gateway, its API page": f"{where.gateway}/",
        "Gateway metrics": f"{where.gateway}/metrics",
        **{f"Metrics of {name}": lane.metrics for name, lane in where.lanes.items()},
        "Broker (any Celery producer)": where.broker,
        "Results": where.results,
        "Mail sink": f"{where.smtp}, mails in {where.mails}",
        "Logs": where.logs,
    }
    for name, place in rows.items():
        table.add_row(name, Text(place))
    console.print(table)
    sys.stdout.flush()
