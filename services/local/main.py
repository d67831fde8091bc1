"""`laneway up` and `laneway demo`: hold the platform until it is told to stop."""

import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from types import FrameType
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from laneway.services.local.observing import Observing
from laneway.services.local.platform import Addresses, Platform, Ports
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings

TEND_S = 1.0
PIPED_WIDTH = 200
CUT_SHORT = 130
"""As shells say that Ctrl-C ended something."""


def run(
    folder: Path,
    ports: Ports,
    *,
    as_json: bool = False,
    demonstration: Callable[[Platform, Console, Event], bool] | None = None,
    once: bool = False,
    observing: Observing | None = None,
) -> int:
    """Start the platform, demonstrate it if asked, hold it until SIGINT or SIGTERM, stop it.

    Returns:
        0; 1 when a part of the demonstration failed or a process did not stop cleanly; 130 when
        the demonstration was cut short.
    """
    stop, hurry = stop_events()
    console = terminal(sys.stderr if as_json else sys.stdout)
    catalogue = load_catalogue(load_settings().queues_file)
    if observing is not None:
        observing.check()
    beside = "" if observing is None else ", Prometheus, an OpenTelemetry Collector"
    console.print(f"Starting Redis, mail sink{beside}, {len(catalogue)} workers and the gateway …")
    platform = Platform(folder, catalogue, ports, observing)
    shown = True
    with platform:
        if as_json:
            print(json.dumps(platform.as_dict()), flush=True)  # noqa: T201 - the answer
        if demonstration is not None:
            shown = demonstration(platform, console, stop)
        cut_short = stop.is_set() and not shown
        if not once and not stop.is_set():
            _print_addresses(platform.addresses, console)
            console.print("Up. Ctrl-C stops it; what is queued then runs next time.")
            while not stop.wait(TEND_S):
                platform.tend(console.print)
        console.print("Draining …")
        stop.set()  # by itself after --once: a Ctrl-C from here on hurries
        codes = platform.stop(hurry, console.print)
    code = _farewell(codes, console)
    if cut_short:
        return CUT_SHORT
    return code if shown else 1


def stop_events() -> tuple[Event, Event]:
    """What the first SIGINT or SIGTERM sets, and what the second does."""
    stop, hurry = Event(), Event()
    # The main thread may hold an event's lock when a signal interrupts it; a SimpleQueue it may
    # enter again at any point.
    received: SimpleQueue[int] = SimpleQueue()

    def set_events() -> None:
        while received.get():
            (hurry if stop.is_set() else stop).set()

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        received.put(number)

    Thread(target=set_events, name="signals", daemon=True).start()
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    return stop, hurry


def terminal(stream: TextIO) -> Console:
    """Where to write for people, who may have piped it."""
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(file=stream, width=width, soft_wrap=True, markup=False, emoji=False)


def _farewell(codes: dict[str, int], console: Console) -> int:
    unclean = {name: code for name, code in codes.items() if code != 0}
    if unclean:
        named = ", ".join(f"{name} ({code})" for name, code in unclean.items())
        console.print(f"Not ended cleanly: {named}. Their logs say why.", style="red")
        return 1
    console.print("All ended; nothing is left running.")
    return 0


def _print_addresses(where: Addresses, console: Console) -> None:
    table = Table(title="Where to look", title_justify="left", show_header=False)
    rows = {
        "Gateway (API page)": f"{where.gateway}/",
        "Gateway metrics": f"{where.gateway}/metrics",
        **{f"Metrics of {name}": lane.metrics for name, lane in where.lanes.items()},
        "Broker": where.broker,
        "Results": where.results,
        "Mail sink": f"{where.smtp}, mails in {where.mails}",
        "Logs": where.logs,
    }
    if where.prometheus:
        rows |= {
            "Prometheus": f"{where.prometheus}/query",
            "Alerts": f"{where.prometheus}/alerts",
            "Dashboards, drawn": f"make dashboards PROMETHEUS={where.prometheus} HOURS=1 SCRAPE=5",
            "Spans": where.spans,
        }
    for name, place in rows.items():
        table.add_row(name, Text(place))
    console.print(table)
    console.print("For other terminals:")
    console.print(f"export LANEWAY_BROKER_URL={shlex.quote(where.broker)}")
    console.print(f"export LANEWAY_STORAGE_URL={shlex.quote(where.storage)}")
    sys.stdout.flush()
