"""A connection to Redis that an event loop drives: commands go out, answers come back in order."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

Reply = Any
OnReply = Callable[[Reply], None]
OnError = Callable[[ResponseError], bool]
"""Takes Redis's refusal of a command; whether that is all that is to be done about it."""


class Wire:
    """One redis-py connection, without waiting for its answers.

    What redis-py knows of TLS, logins and Sentinel stays in force, as the connection is its own.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pending: deque[tuple[float, OnReply | None, OnError | None]] = deque()
        self._closed = False

    def fileno(self) -> int:
        """Of the socket; raises OSError when it is closed."""
        sock = self._connection._sock  # noqa: SLF001 - redis-py shows it nowhere else
        if sock is None:
            raise OSError("the connection is closed")
        return int(sock.fileno())

    def send(
        self,
        *command: str | bytes | float,
        on_reply: OnReply | None = None,
        on_error: OnError | None = None,
    ) -> None:
        """Send a command; `on_reply` is called with its answer when it comes, or `on_error`."""
        self._connection.send_packed_command(
            self._connection.pack_command(*command), check_health=False
        )
        self._pending.append((time.monotonic(), on_reply, on_error))

    def read(self) -> None:
        """Hand out the answers that are there. Call it when the socket is readable.

        Raises:
            RedisError: the connection broke, or Redis refused a command.
        """
        while self._pending:
            self._hand_out()
            # Whoever was answered may have closed it, and looking at it would open it again.
            if self._closed or not self._connection.can_read(0):
                return
        if self._connection.can_read(0):  # also how a closed connection shows
            raise RedisConnectionError("Redis sent what nobody asked for")

    def _hand_out(self) -> None:
        _, on_reply, on_error = self._pending[0]
        try:
            reply = self._connection.read_response(disconnect_on_error=False)
        except ResponseError as error:
            if on_error is None or not on_error(error):
                raise
            self._pending.popleft()
            return
        self._pending.popleft()
        if on_reply is not None:
            on_reply(reply)

    def check(self, limit_s: float) -> None:
        """Raise TimeoutError if the oldest answer is due for longer than `limit_s` seconds."""
        if self._pending and time.monotonic() - self._pending[0][0] > limit_s:
            raise RedisTimeoutError(f"no answer within {limit_s:g} s")

    def ask(self, *command: str | bytes | float) -> Reply:
        """Send a command and wait for its answer; only while nothing else is on its way."""
        self._connection.send_packed_command(
            self._connection.pack_command(*command), check_health=False
        )
        return self._connection.read_response()

    def close(self) -> None:
        """Forget the connection and what was asked on it."""
        self._closed = True
        self._pending.clear()
        self._connection.disconnect()
