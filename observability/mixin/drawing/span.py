"""The time that is shown, and what Grafana's variables stand for in it."""

from dataclasses import dataclass

_POINTS = 120


@dataclass(frozen=True)
class Span:
    """A time to show, in seconds since the epoch; `scrape_s` lies between two scrapes."""

    start_s: float
    end_s: float
    scrape_s: float = 15

    @property
    def step_s(self) -> float:
        """Time between two points."""
        return max((self.end_s - self.start_s) / _POINTS, self.scrape_s)

    @property
    def rate_s(self) -> float:
        """What `$__rate_interval` is: at least four scrapes, as Grafana has it."""
        return max(4 * self.scrape_s, self.step_s + self.scrape_s)

    def filled(self, expr: str) -> str:
        """The query with everything chosen and this time in place of the variables."""
        values = {
            "$__rate_interval": _duration(self.rate_s),
            "$__range": _duration(self.end_s - self.start_s),
            "$__interval": _duration(self.step_s),
            "$namespace": ".*",
            "$queue": ".*",
            "$task": ".*",
        }
        for name, value in values.items():
            expr = expr.replace(name, value)
        return expr


def _duration(seconds: float) -> str:
    return f"{max(round(seconds), 1)}s"
