"""Waiting for workers that drain: who is still at it, and how to cut it short."""

import time
from collections.abc import Callable, Sequence
from threading import Event

from laneway.services.local.processes import ManagedProcess

POLL_S = 0.1
PATIENCE_S = 3.0
"""An idle worker ends within this time, which is not worth a word."""


def drain(
    workers: Sequence[ManagedProcess], hurry: Event, report: Callable[[str], None]
) -> dict[str, int]:
    """Ask workers to stop and wait for them, each up to its limit; then it is killed.

    Once `hurry` is set they are told to give back what still runs, instead of finishing it.

    Returns:
        Exit codes by name.
    """
    began_s = time.monotonic()
    hurried = hurry.is_set()
    for worker in workers:
        # One signal, not two at once: a worker is still busy with the first.
        if hurried:
            worker.ask_to_give_back()
        else:
            worker.ask_to_stop()
    said: tuple[str, ...] = ()
    while remaining := [worker for worker in workers if worker.running()]:
        time.sleep(POLL_S)
        waited_s = time.monotonic() - began_s
        for worker in remaining:
            if waited_s >= worker.stop_limit_s:
                worker.wait_until_stopped(limit_s=0)
        if hurry.is_set() and not hurried:
            hurried = True
            report(f"Giving back at once what still runs: {_named(remaining)}")
            for worker in remaining:
                worker.ask_to_give_back()
        names = tuple(worker.name for worker in remaining)
        if waited_s >= PATIENCE_S and names != said and not hurried:
            said = names
            report(_waiting(remaining))
    return {worker.name: worker.wait_until_stopped(limit_s=0) for worker in workers}


def _waiting(workers: Sequence[ManagedProcess]) -> str:
    limit_s = max(worker.stop_limit_s for worker in workers)
    return (
        f"Waiting for {_named(workers)}: up to {limit_s:.0f} s; "
        "Ctrl-C again puts what still runs back into its lane at once"
    )


def _named(workers: Sequence[ManagedProcess]) -> str:
    return ", ".join(worker.name for worker in workers)
