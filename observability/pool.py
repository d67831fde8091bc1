"""A worker's slots, what waits for them, and what its processes use, read when Prometheus asks."""

import os
import resource
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from laneway.observability import catalogue
from laneway.observability.scrape import Reading

POOL_METRICS = (
    catalogue.SLOTS,
    catalogue.RESERVED,
    catalogue.CHILD_RSS,
    catalogue.CHILD_CPU,
)

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_USER, _SYSTEM = 11, 12
"""Places of the processor times in /proc/PID/stat, counted from after the name of the program."""


@dataclass(frozen=True)
class PoolState:
    """One lane's pool at a moment.

    Attributes:
        slots: how many, by state: busy, idle, starting.
        reserved: messages claimed that no slot has begun with.
        pids: its processes; none where tasks run in threads of the worker itself.
        used_s: their processor time so far, in seconds; see `ProcessTimes`.
    """

    queue: str
    slots: Mapping[str, int]
    reserved: int = 0
    pids: Collection[int] = ()
    used_s: float = 0.0

    def readings(self) -> Iterator[Reading]:
        """Its gauges, and the processor time so far."""
        for state, count in self.slots.items():
            yield Reading(catalogue.SLOTS, count, (self.queue, state))
        yield Reading(catalogue.RESERVED, self.reserved, (self.queue,))
        sizes = [resident_bytes(pid) for pid in self.pids or (os.getpid(),)]
        yield Reading(catalogue.CHILD_RSS, max(sizes), (self.queue, "max"))
        yield Reading(catalogue.CHILD_RSS, sum(sizes), (self.queue, "sum"))
        yield Reading(catalogue.CHILD_CPU, self.used_s, (self.queue,))


class ProcessTimes:
    """The processor time of a pool's processes over its life."""

    def __init__(self) -> None:
        self._most_s = 0.0

    def used_s(self, pids: Collection[int]) -> float:
        """Seconds used by these, and by those that have ended; by this process where there are none.

        One that ends while it is looked at may be missed for once: the time never goes back for it.
        """
        now_s = _ended_cpu_s() + sum(map(cpu_s, pids)) if pids else cpu_s(os.getpid())
        self._most_s = max(self._most_s, now_s)
        return self._most_s


def resident_bytes(pid: int) -> int:
    """Memory that a process holds; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0


def cpu_s(pid: int) -> float:
    """Processor time of a process, in seconds; 0 if it is gone."""
    try:
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = line.rpartition(")")[2].split()
        return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_PER_S
    except (OSError, IndexError):
        return 0.0


def _ended_cpu_s() -> float:
    """Of all processes that this one has started and seen end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
