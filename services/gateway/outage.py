"""Redis is away: the first request finds out, the others hear it at once."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from laneway.tasks.errors import BrokerUnavailable

REMEMBERED_S = 1.0


class Outage:
    """Lets one request at a time wait for a Redis that does not answer.

    Without this, a frozen Redis holds every thread for its whole time-out, and the requests
    behind them wait many times as long.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._error: BrokerUnavailable | None = None
        self._ask_again_at_s = 0.0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Around every use of Redis.

        Raises:
            BrokerUnavailable: it is away, or was a moment ago.
        """
        self._refuse_while_away()
        try:
            yield
        except BrokerUnavailable as error:
            self._note(error)
            raise
        except BaseException:
            self._error = None
            raise
        self._error = None

    def _refuse_while_away(self) -> None:
        with self._lock:
            if self._error is None:
                return
            now_s = time.monotonic()
            if now_s < self._ask_again_at_s:
                raise BrokerUnavailable(str(self._error))
            # This caller asks for all; until it has an answer the others need not.
            self._ask_again_at_s = now_s + 60

    def _note(self, error: BrokerUnavailable) -> None:
        with self._lock:
            self._error = error
            self._ask_again_at_s = time.monotonic() + REMEMBERED_S
