"""Server-sent events: a task's state as it changes.

Celery publishes every stored state on a channel. A message there is only taken as a hint to read
the state anew, and it is read every two seconds without one: nothing is missed when Redis was
away, and states that follow each other within milliseconds may be told as one.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

from fastapi.concurrency import run_in_threadpool
from redis.exceptions import RedisError

from laneway.services.gateway.models import TaskView
from laneway.services.gateway.problems import Problem
from laneway.tasks.broker.client import result_client_async
from laneway.tasks.errors import BrokerUnavailable
from laneway.tasks.settings import Settings

MOST_STREAMS = 256
REREAD_S = 2.0
HEARTBEAT_S = 10.0
_NOTICE_S = 1.0
"""Longest time until a stream notices that the gateway stops."""


class EventStreams:
    """The open streams of one gateway."""

    def __init__(self, settings: Settings, most: int = MOST_STREAMS) -> None:
        self._settings = settings
        self._most = most
        self._open = 0
        self.ending = False

    def end_all(self) -> None:
        """End every stream within a second; their clients reconnect elsewhere."""
        self.ending = True

    def check_room(self) -> None:
        """Refuse (503) a stream too many."""
        if self._open >= self._most or self.ending:
            raise Problem(
                503,
                "too_many_streams",
                f"This gateway serves {self._most} event streams at most. Retry later, or read "
                "the task's state instead.",
                retry_after_s=5,
            )

    async def follow(
        self, read: Callable[[], TaskView], channel: str, last_id: str | None
    ) -> AsyncIterator[str]:
        """The events of one task, from its present state to its final one.

        Args:
            read: reads the state; called in a thread.
            channel: where the result store announces a new state.
            last_id: the event the client saw last, which is not told again.
        """
        self._open += 1
        client = result_client_async(self._settings)
        hints = client.pubsub(ignore_subscribe_messages=True)
        try:
            with suppress(RedisError, OSError):
                await hints.subscribe(channel)
            with suppress(Problem):  # forgotten meanwhile: there is nothing left to tell
                async for text in self._tell(read, hints, last_id):
                    yield text
        finally:
            self._open -= 1
            with suppress(RedisError, OSError):
                await hints.aclose()  # type: ignore[no-untyped-call]
            await client.aclose()

    async def _tell(
        self, read: Callable[[], TaskView], hints: Any, told: str | None
    ) -> AsyncIterator[str]:
        spoke_at_s = time.monotonic()
        while not self.ending:
            view = await _read(read)
            if view is not None and event_id(view) != told:
                told, spoke_at_s = event_id(view), time.monotonic()
                yield event_text(view)
            if view is not None and view.final:
                return
            if time.monotonic() - spoke_at_s > HEARTBEAT_S:
                spoke_at_s = time.monotonic()
                yield ": alive\n\n"
            await self._wait(hints)

    async def _wait(self, hints: Any) -> None:
        """Until there is a hint, or it is time to look without one."""
        until_s = time.monotonic() + REREAD_S
        while not self.ending and time.monotonic() < until_s:
            try:
                if await hints.get_message(timeout=_NOTICE_S) is not None:
                    return
            except (RedisError, OSError, RuntimeError):  # away, or never subscribed
                await asyncio.sleep(_NOTICE_S)


def event_id(view: TaskView) -> str:
    """Names a state, the same on every gateway."""
    return hashlib.sha256(view.model_dump_json().encode()).hexdigest()[:16]


def event_text(view: TaskView) -> str:
    """A state as an event."""
    return f"id: {event_id(view)}\nevent: state\ndata: {view.model_dump_json()}\n\n"


async def _read(read: Callable[[], TaskView]) -> TaskView | None:
    try:
        return await run_in_threadpool(read)
    except BrokerUnavailable:
        return None  # the next look may find it back
