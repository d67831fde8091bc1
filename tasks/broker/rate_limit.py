"""Rate limits that hold across all workers of a Redis."""

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import redis

from laneway.tasks.broker import keys


class SharedTokenBucket:
    """A token bucket of one token in Redis, with the face of kombu's local TokenBucket.

    `contents` holds what waits in this worker; the rate is shared by every worker that uses the
    same task name. With Redis away, nothing runs until it is back: a limit is a promise.
    """

    def __init__(
        self,
        client: "redis.Redis",
        task: str,
        rate_per_s: float,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._key = keys.rate_limit(task)
        self._interval_us = round(1_000_000 / rate_per_s)
        self._on_wait = on_wait
        self._wait_s = 0.0
        self.contents: deque[Any] = deque()

    def add(self, item: Any) -> None:
        """Queue an item behind those that wait."""
        self.contents.append(item)

    def pop(self) -> Any:
        """Take the first item; IndexError when none waits."""
        return self.contents.popleft()

    def clear_pending(self) -> None:
        """Forget what waits: the broker delivers it again."""
        self.contents.clear()

    def can_consume(self, tokens: int = 1) -> bool:
        """Take a turn if one is due."""
        del tokens  # Celery always asks for one
        try:
            wait_us = int(
                self._client.evalsha(_digest(self._client), 1, self._key, self._interval_us)
            )
        except redis.exceptions.NoScriptError:
            _digest.cache_clear()
            return self.can_consume()
        except redis.exceptions.RedisError:
            wait_us = 1_000_000
        self._wait_s = wait_us / 1_000_000
        if wait_us:
            self._on_wait()
        return wait_us == 0

    def expected_time(self, tokens: int = 1) -> float:
        """Seconds until the next turn, as of the last `can_consume`."""
        del tokens
        return self._wait_s


@lru_cache(maxsize=4)
def _digest(client: "redis.Redis") -> str:
    script = Path(__file__).with_name("scripts") / "take_turn.lua"
    return str(client.script_load(script.read_text(encoding="utf-8")))
