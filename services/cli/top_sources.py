"""Where `laneway top` reads: endpoints of workers, or Prometheus."""

import base64
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Thread
from typing import Protocol
from urllib.error import HTTPError
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import OpenerDirector, ProxyHandler, Request, build_opener

from laneway.observability.catalogue import QUEUE_WAIT
from laneway.observability.lanes.difference import (
    Scrape,
    added,
    merged,
    quantiles_by_lane,
    rates,
)
from laneway.observability.lanes.figures import WAIT_SHARE, Picture, held
from laneway.observability.lanes.prometheus import UnusableAnswer, lanes_query, read_answer
from laneway.observability.lanes.samples import Values, counters, read_samples
from laneway.tasks.errors import LanewayError

PATIENCE_S = 3.0
"""An endpoint that has not answered by then is left out of the frame."""
MOST_BYTES = 32 * 2**20
WORKER = "worker-"


class NothingRead(LanewayError):
    """No endpoint answered, or none knows of lanes."""


@dataclass(frozen=True)
class Frame:
    """What one reading found."""

    picture: Picture
    source: str
    at_s: float = field(default_factory=time.time)
    unread: Mapping[str, str] = field(default_factory=dict)
    """Endpoints that did not answer, and why."""
    expected: tuple[str, ...] = ()
    """Lanes that are to be shown, also if nothing tells of them."""


class Source(Protocol):
    """Something to read frames from."""

    def read(self) -> Frame:
        """Read once.

        Raises:
            NothingRead: there was nothing; the message says the cure.
        """


class Endpoints:
    """Reads `/metrics` of every target; rates come from what a window holds.

    Args:
        targets: URLs by name, asked for before each reading: a platform may have been started anew.
        source: What they are, for the header.
        window_s: What rates are reckoned over.
        cure: What to do if none answers.
    """

    def __init__(
        self,
        targets: Callable[[], Mapping[str, str]],
        source: str,
        window_s: float,
        cure: str,
        fetch: "Callable[[str], str] | None" = None,
    ) -> None:
        self._targets, self._source, self._cure = targets, source, cure
        self._window_s = window_s
        self._fetch = fetch or fetch_metrics
        self._scrapes: dict[str, deque[Scrape]] = {}
        self._held: deque[tuple[float, Mapping[str, float]]] = deque()

    def read(self) -> Frame:
        """A frame of what answers within a few seconds."""
        targets = self._targets()
        if not targets:
            raise NothingRead(f"There is no {self._source} that is up. {self._cure}")
        answered, unread = _scrape_all(targets, self._fetch)
        if not answered:
            name, why = next(iter(unread.items()))
            others = f", nor do {len(unread) - 1} others" if len(unread) > 1 else ""
            raise NothingRead(f"{name} does not answer: {why}{others}. {self._cure}")
        now_s = time.monotonic()
        for name, scrape in answered.items():
            kept = self._scrapes.setdefault(name, deque())
            kept.append(scrape)
            # The oldest kept is the one where the window begins.
            while len(kept) > 2 and kept[1].at_s <= now_s - self._window_s:  # noqa: PLR2004 - two make a difference
                kept.popleft()
        for gone in self._scrapes.keys() - targets.keys():
            del self._scrapes[gone]
        picture = self._picture(answered, now_s)
        lanes = tuple(n.removeprefix(WORKER) for n in targets if n.startswith(WORKER))
        return Frame(picture, self._source, unread=unread, expected=lanes)

    def _picture(self, answered: Mapping[str, Scrape], now_s: float) -> Picture:
        now = merged(scrape.values for scrape in answered.values())
        counts = added(counters(scrape.values) for scrape in answered.values())
        self._held.append((now_s, held(now)))
        while len(self._held) > 2 and self._held[1][0] <= now_s - self._window_s:  # noqa: PLR2004
            self._held.popleft()
        began_s, before = self._held[0]
        if began_s == now_s:
            waits = quantiles_by_lane(WAIT_SHARE, counts, QUEUE_WAIT.name)
            return Picture(now, None, counts, waits)
        grown: Values = added(rates(self._scrapes[name]) for name in answered)
        waits = quantiles_by_lane(WAIT_SHARE, grown, QUEUE_WAIT.name)
        return Picture(now, grown, counts, waits, before, now_s - began_s)


class Prometheus:
    """Asks a Prometheus server, once a frame."""

    def __init__(
        self,
        url: str,
        window_s: int,
        matchers: str = "",
        ask: "Callable[[str, str], object] | None" = None,
    ) -> None:
        self._url, self._window_s = url, window_s
        self._query = lanes_query(window_s, matchers)
        self._ask = ask or ask_prometheus
        self._place = shown_url(url)

    def read(self) -> Frame:
        """A frame of what Prometheus scraped last."""
        try:
            picture = read_answer(self._ask(self._url, self._query), self._window_s)
        except (OSError, HTTPException, ValueError) as error:
            raise NothingRead(
                f"Prometheus at {self._place} does not answer the query: {_why(error)}. Check the "
                "URL, which ends before /api/v1, or read workers directly with --target HOST:PORT."
            ) from None
        if not any(key.lane for key in (*picture.now, *(picture.rates or {}))):
            raise NothingRead(
                f"Prometheus at {self._place} knows no lanes. See whether it scrapes the workers' "
                "/metrics, and what --match leaves of them."
            )
        return Frame(picture, self._place)


def fetch_metrics(url: str) -> str:
    """What an endpoint's `/metrics` answers.

    Raises:
        OSError: it does not.
        HTTPException: what it answers is no HTTP.
    """
    # Endpoints are neighbours; no proxy leads to them.
    body = _fetch(Request(url), build_opener(ProxyHandler({})))  # noqa: S310 - http or https, checked at the door
    return body.decode("utf-8", "replace")


def ask_prometheus(url: str, query: str) -> object:
    """What Prometheus' HTTP API answers to a query.

    Raises:
        OSError: it does not answer, or refuses the query.
        HTTPException: what it answers is no HTTP.
        ValueError: it is no JSON.
    """
    parts = urlsplit(url)
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    request = Request(  # noqa: S310 - http or https, checked at the door
        f"{place.rstrip('/')}/api/v1/query", urlencode({"query": query}).encode(), headers
    )
    return json.loads(_fetch(request, build_opener()))


def shown_url(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _fetch(request: Request, opener: OpenerDirector) -> bytes:
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            body: bytes = answer.read(MOST_BYTES)
            return body
    except HTTPError as refused:
        with refused:
            raise OSError(f"HTTP {refused.code}{_said(refused.read(MOST_BYTES))}") from None


def _said(body: bytes) -> str:
    """What Prometheus says of a query that it refuses."""
    try:
        return f", {str(json.loads(body)['error'])[:200]}"
    except (ValueError, TypeError, KeyError):
        return ""


def _scrape_all(
    targets: Mapping[str, str], fetch: Callable[[str], str]
) -> tuple[dict[str, Scrape], dict[str, str]]:
    """Scrapes of those that answer in time, and why the others did not."""
    found: dict[str, Scrape | str] = {}

    def scrape(name: str, url: str) -> None:
        try:
            text = fetch(url)
            at_s = time.monotonic()
            found[name] = Scrape(read_samples(text), at_s)
        except (OSError, HTTPException, ValueError) as error:
            found[name] = _why(error)

    # Daemons: a connection that hangs must hold up neither the frame nor the end.
    threads = [Thread(target=scrape, args=each, daemon=True) for each in targets.items()]
    _join(threads)
    told = dict(found)
    answered = {n: told[n] for n in targets if isinstance(told.get(n), Scrape)}
    late = f"no answer within {PATIENCE_S:.0f} s"
    unread = {n: str(told.get(n, late)) for n in targets if n not in answered}
    return {n: s for n, s in answered.items() if isinstance(s, Scrape)}, unread


def _join(threads: Iterable[Thread]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    begun = list(threads)
    for thread in begun:
        thread.start()
    for thread in begun:
        thread.join(max(0.0, deadline_s - time.monotonic()))


def _why(error: Exception) -> str:
    if isinstance(error, UnusableAnswer):
        return str(error)
    if isinstance(error, TimeoutError):
        return f"no answer within {PATIENCE_S:.0f} s"
    reason = getattr(error, "reason", None)
    if isinstance(reason, OSError):
        return reason.strerror or str(reason)
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return f"not what was expected ({type(error).__name__})"
