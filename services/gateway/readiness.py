"""Whether tasks can be accepted now."""

import time

import anyio
from anyio import CapacityLimiter, to_thread
from redis.exceptions import RedisError

from laneway.tasks.broker.client import probe_client
from laneway.tasks.settings import Settings

READY_WAIT_S = 1.0
READY_KEPT_S = 1.0


class Readiness:
    """Whether Redis answers, asked at most once a second and on a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        wait_s = min(READY_WAIT_S, settings.broker_timeout_s)
        self._client = probe_client(settings, wait_s)
        self._asked_at_s = -READY_KEPT_S
        self._answer = False
        # Threads of its own: those of the requests may all be waiting for Redis.
        self._limiter = CapacityLimiter(1)

    async def ask(self) -> bool:
        """Whether Redis answers; takes two seconds at most."""
        with anyio.move_on_after(2 * READY_WAIT_S) as waiting:
            await to_thread.run_sync(self._ping, limiter=self._limiter, abandon_on_cancel=True)
        return self._answer and not waiting.cancelled_caught

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def _ping(self) -> None:
        if time.monotonic() - self._asked_at_s < READY_KEPT_S:
            return
        try:
            self._answer = bool(self._client.ping())
        except (RedisError, OSError):
            self._answer = False
        self._asked_at_s = time.monotonic()
