"""What ended by itself is started again, as a Deployment would: the oftener, the later."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from laneway.services.local.processes import ManagedProcess

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
STEADY_S = 60.0
"""Who has run this long since its last start is taken for well."""


@dataclass
class _Restarts:
    pause_s: float = FIRST_PAUSE_S
    """Before the next one."""
    due_s: float | None = None
    started_s: float | None = None


class Upkeep:
    """Starts ended processes again, after 1, 2, 4, … and at last every 30 seconds."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._restarts: dict[str, _Restarts] = {}

    def tend(self, process: ManagedProcess, report: Callable[[str], None]) -> None:
        """Look after one process. Call it often; it never waits."""
        now_s = self._clock_s()
        restarts = self._restarts.setdefault(process.name, _Restarts())
        if not process.ended():
            if restarts.started_s is not None and now_s - restarts.started_s >= STEADY_S:
                self._restarts[process.name] = _Restarts()
        elif restarts.due_s is None:
            code = process.wait_until_stopped()
            pause = f"{restarts.pause_s:.0f} s"
            report(f"{process.name} ended with {code}; it is started again in {pause}")
            if restarts.started_s is None:
                report(process.last_words())
            restarts.due_s = now_s + restarts.pause_s
            restarts.pause_s = min(2 * restarts.pause_s, LONGEST_PAUSE_S)
        elif now_s >= restarts.due_s:
            restarts.due_s, restarts.started_s = None, now_s
            process.start()
