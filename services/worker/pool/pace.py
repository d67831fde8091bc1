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
_LONGEST_SEEN_S = 0.1
"""One long task among many short ones shall not slow them down for long."""


class Pace:
    """Moving averages, by name and over all."""

    def __init__(self) -> None:
        self._by_name: dict[str, float] = {}
        self._mean_s = _LONGEST_SEEN_S

    def expected_s(self, name: str) -> float:
        """How long a task of this name will take; one that has never run may take long."""
        return self._by_name.get(name, AHEAD_S)

    def observe(self, name: str, spent_s: float) -> None:
        """A task of this name took so long."""
        before_s = self._by_name.get(name, spent_s)
        self._by_name[name] = before_s + _WEIGHT * (spent_s - before_s)
        self._mean_s += _WEIGHT * (min(spent_s, _LONGEST_SEEN_S) - self._mean_s)

    def capacity(self, slots: int) -> int:
        """How many tasks so many processes or threads hold at most, waiting ones included."""
        ahead = max(1, min(MOST_AHEAD, self._worth(AHEAD_S)))
        return slots * (ahead + min(ahead, self._worth(_TRIP_S)))

    def _worth(self, seconds: float) -> int:
        return round(seconds / max(self._mean_s, 1e-6))
