"""How long tasks take, so that a child is fed neither too little nor too much ahead."""

AHEAD_S = 0.015
"""Work that a child may hold: enough to never wait for more, too little to be missed elsewhere."""

MOST_AHEAD = 32
"""Tasks that a child may hold."""

LONG_S = 0.05
"""A task that runs for so long keeps others waiting: what is behind it goes elsewhere."""

_TRIP_S = 0.002
"""What it may take to claim more. Tasks worth so much may wait in the parent besides."""

_WEIGHT = 0.25
_LEAST_S, _MOST_S = 1e-6, 0.1
"""Beyond these it makes no difference how short or long a task was."""


class Pace:
    """Moving geometric means, by name and over all.

    An arithmetic mean would not do: on a busy machine a task of microseconds now and then takes
    milliseconds, and its kind would be taken for a hundred times as long. Those that do take long
    are dealt with while they run.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, float] = {}
        self._mean_s = _MOST_S

    def expected_s(self, name: str) -> float:
        """How long a task of this name will take; one that has never run may take long."""
        return self._by_name.get(name, AHEAD_S)

    def observe(self, name: str, spent_s: float) -> None:
        """A task of this name took so long."""
        seen_s = min(max(spent_s, _LEAST_S), _MOST_S)
        before_s = self._by_name.get(name, seen_s)
        self._by_name[name] = before_s * (seen_s / before_s) ** _WEIGHT
        self._mean_s *= (seen_s / self._mean_s) ** _WEIGHT

    def capacity(self, slots: int) -> int:
        """How many tasks so many processes or threads hold at most, waiting ones included."""
        ahead = max(1, min(MOST_AHEAD, round(AHEAD_S / self._mean_s)))
        return slots * (ahead + min(ahead, round(_TRIP_S / self._mean_s)))
