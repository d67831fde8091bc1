"""Questions to a Prometheus over HTTP."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from laneway.observability.mixin.drawing.span import Span

_PATIENCE_S = 60


@dataclass(frozen=True)
class Series:
    """Values over time, or one value; times in seconds since the epoch."""

    labels: Mapping[str, str]
    times: tuple[float, ...]
    values: tuple[float, ...]


class Prometheus:
    """A Prometheus server at an address.

    Raises:
        ValueError: It refused a query; the message holds the query and why.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def over(self, expr: str, span: Span) -> list[Series]:
        """The answer over a time."""
        asked = {"start": span.start_s, "end": span.end_s, "step": span.step_s}
        return [
            _series(one["metric"], one["values"]) for one in self._ask("query_range", expr, asked)
        ]

    def at(self, expr: str, at_s: float) -> list[Series]:
        """The answer at one moment."""
        return [
            _series(one["metric"], [one["value"]])
            for one in self._ask("query", expr, {"time": at_s})
        ]

    def _ask(self, call: str, expr: str, asked: Mapping[str, float]) -> list[Any]:
        body = urlencode({"query": expr, **asked}).encode()
        try:
            # The address is the caller's own Prometheus.
            with urlopen(f"{self._url}/api/v1/{call}", body, _PATIENCE_S) as answer:  # noqa: S310
                data = json.load(answer)["data"]
        except HTTPError as refused:
            raise ValueError(f"Prometheus refused {expr}: {refused.read().decode()}") from refused
        if data["resultType"] == "scalar":
            return [{"metric": {}, "value": data["result"]}]
        found: list[Any] = data["result"]
        return found


def _series(labels: Mapping[str, str], samples: list[tuple[float, str]]) -> Series:
    times, values = zip(*samples, strict=True)
    return Series(labels, times, tuple(map(float, values)))
