"""The wait of a worker whose lane is empty: a blocking move with a claim behind it."""

import time
from collections.abc import Callable
from typing import Any

from redis.exceptions import OutOfMemoryError, ResponseError

from laneway.tasks.broker.commands import Command
from laneway.tasks.broker.wire import Wire

WAIT_S = 5.0
"""Longest single wait for a message. Redis ends it by itself, also for a worker that is gone."""

REST_S = 1.0
"""A full Redis refuses the move, which may need memory: no wait begins for so long."""


class Waiter(Wire):
    """The connection that waits. Its claim is for the room there was when the wait began.

    So whoever waits claims in no other way: see `interrupt`.
    """

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self._id = int(self.ask("CLIENT", "ID"))
        self._rests_until_s = 0.0
        self.waits = False
        """Whether a wait is out, or its answer on its way."""

    @property
    def rests(self) -> bool:
        """Whether it is too early for another wait."""
        return time.monotonic() < self._rests_until_s

    def wait(self, move: Command, claim: Command, on_reply: Callable[[Any], None]) -> None:
        """Wait for a message; `on_reply` takes the answer of the claim, also when none came."""
        self.waits = True

        def on_refusal(error: ResponseError) -> bool:
            self._rests_until_s = time.monotonic() + REST_S
            return isinstance(error, OutOfMemoryError)

        def on_claimed(reply: Any) -> None:
            self.waits = False
            on_reply(reply)

        self.send(*move, on_error=on_refusal)
        self.send(*claim, on_reply=on_claimed)

    @property
    def interrupt(self) -> Command:
        """For another connection: end the wait now, so that its claim finds what it does not see."""
        return ("CLIENT", "UNBLOCK", self._id)
