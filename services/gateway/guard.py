"""Around every request: its count and duration, a bound on how many run, and no naked error."""

import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import uuid4

from starlette.requests import ClientDisconnect

from laneway.observability.logs import get_logger
from laneway.observability.metrics import Metrics
from laneway.services.gateway.problems import Problem, internal_problem, problem_response

logger = get_logger(__name__)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

MOST_REQUESTS = 1_024
"""Requests in progress above which further ones are turned away at once."""

CLIENT_GONE = 499
"""What is counted for a request whose client left; nobody sees it."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))


class Guard:
    """ASGI middleware, the outermost of ours."""

    def __init__(self, app: Asgi, metrics: Metrics, most: int = MOST_REQUESTS) -> None:
        self._app = app
        self._metrics = metrics
        self._most = most
        self._running = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, whatever happens below."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watched = _WatchedSend(send)
        began_s = time.perf_counter()
        self._running += 1
        try:
            await self._answer(scope, receive, watched)
        finally:
            self._running -= 1
            self._count(scope, watched.status or CLIENT_GONE, time.perf_counter() - began_s)

    async def _answer(
        self, scope: MutableMapping[str, Any], receive: Receive, send: "_WatchedSend"
    ) -> None:
        if self._running > self._most and scope["path"].startswith("/v1/"):
            await problem_response(_busy())(scope, receive, send)
            return
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last place that can answer
            reference = _log(error)
            if send.status is None:
                await problem_response(internal_problem(reference))(scope, receive, send)

    def _count(self, scope: MutableMapping[str, Any], status: int, took_s: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path_format", None) or "none"
        self._metrics.http_requests.inc(method=method, route=route, status=str(status))
        if not route.endswith("/events"):  # a stream lasts as long as its task
            self._metrics.http_duration.observe(took_s, method=method, route=route)


class _WatchedSend:
    """Notes the status, and adds the headers that every answer has."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await self._send(message)


def _busy() -> Problem:
    message = "This gateway has too many requests in progress. Send it again after Retry-After."
    return Problem(503, "busy", message, retry_after_s=1)


def _log(error: Exception) -> str:
    """Where it happened, without the error's text, which may hold a payload."""
    reference = uuid4().hex
    frames = traceback.extract_tb(error.__traceback__)[-5:]
    where = " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames))
    logger.error(
        "request failed",
        reference=reference,
        error_type=type(error).__name__,
        where=where,
    )
    return reference
