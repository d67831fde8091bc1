"""Links on a real event loop and a real Redis: what they are given, and what they are told."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import redis
from kombu.asynchronous import Hub
from redis.backoff import NoBackoff
from redis.retry import Retry

from laneway.tasks.broker.cluster import connect_cluster, is_cluster, lane_connection
from laneway.tasks.broker.commands import HoldOptions
from laneway.tasks.broker.ledger import Claim
from laneway.tasks.broker.link import LaneLink, Listener
from laneway.tasks.broker.sentinel import connect_sentinel
from laneway.tasks.broker.transport import new_connection

LANE = "documents"
LIMIT_S = 30.0
TURN_S = 0.02


class Heard(Listener):
    """Notes what a link tells."""

    def __init__(self) -> None:
        self.ups = 0
        self.returned = 0
        self.errors: list[Exception] = []
        self.buried: list[tuple[str, str, bytes]] = []
        self.late = 0
        self.lost: list[Claim] = []
        self.due = 0
        self.recovered = 0

    def on_up(self, returned: int) -> None:
        self.ups += 1
        self.returned += returned

    def on_down(self, error: Exception) -> None:
        self.errors.append(error)

    def on_buried(self, letters: list[tuple[str, str, bytes]]) -> None:
        self.buried += letters

    def on_late(self, count: int, lost: list[Claim]) -> None:
        self.late += count
        self.lost += lost

    def on_tended(self, due: int, recovered: int) -> None:
        self.due += due
        self.recovered += recovered


class Loop:
    """One thread's event loop, which turns when the test lets it."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.hub.call_repeatedly(TURN_S, lambda: None)  # so that a turn is never long

    def close(self) -> None:
        self.hub.close()

    def turn_until(self, holds: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> None:
        deadline_s = time.monotonic() + limit_s
        while not holds():
            assert time.monotonic() < deadline_s, f"waited {limit_s:.0f} s in vain for {what}"
            self.hub.run_once()

    def turn_for(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.hub.run_once()


class Worker:
    """A link with room for `room` messages, and what it was given.

    `server` is a Redis's port, or the URL of Sentinels or of a cluster.
    """

    def __init__(
        self, loop: Loop, server: int | str, name: str, room: int = 4, **options: Any
    ) -> None:
        given = {"lane": LANE, "lease_ms": 60_000, "timeout_s": 5.0, **options}
        timeout_s = given.pop("timeout_s")
        sockets = {
            "socket_timeout": timeout_s,
            "socket_connect_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
        }
        if isinstance(server, str) and is_cluster(server):
            self._client = cluster = connect_cluster(server, **sockets)
            connect = partial(lane_connection, cluster, given["lane"])
            given["priorities"] = False
        else:
            self._client = (
                redis.Redis(port=server, **sockets)
                if isinstance(server, int)
                else connect_sentinel(server, **sockets)
            )
            connect = partial(new_connection, self._client.connection_pool)
        self.heard = Heard()
        self.loop, self.room, self.name = loop, room, name
        self.claims: list[Claim] = []
        """All it was ever given."""
        self.on_claim: Callable[[Claim], None] = lambda _: None
        self.link = LaneLink(
            HoldOptions(worker=name, **given),
            connect,
            timeout_s=timeout_s,
            listener=self.heard,
        )

    def begin(self) -> "Worker":
        """Attach and wait until it is connected."""
        ledger = self.link.ledger
        self.link.attach(self.loop.hub, self._take, lambda: self.room - len(ledger.held))
        self.loop.turn_until(lambda: not self.link.away, f"the connections of {self.name}")
        return self

    def _take(self, claim: Claim) -> None:
        self.claims.append(claim)
        self.on_claim(claim)

    def given(self) -> Counter[bytes]:
        return Counter(claim.message for claim in self.claims)

    def expect(self, count: int) -> None:
        """Turn until it was given so many messages in all."""
        self.loop.turn_until(lambda: len(self.claims) >= count, f"message {count} of {self.name}")

    def flush(self) -> None:
        """Turn until Redis has answered to all that it was told."""
        ledger = self.link.ledger
        self.loop.turn_until(
            lambda: (
                not self.link.away
                and not (ledger.acks or ledger._unanswered_acks)
                and not (ledger.settlements or ledger._unanswered)
            ),
            f"answers to {self.name}",
        )

    def end(self) -> None:
        self.link.leave()
        self._client.close()


@contextmanager
def workers(
    server: int | str, *names: str, loop: Loop | None = None, **options: Any
) -> Iterator[Any]:
    """Connected workers of one loop; one, or a list if several are named."""
    loop = loop or Loop()
    made = [Worker(loop, server, name, **options) for name in names]
    try:
        for worker in made:
            worker.begin()
        yield made[0] if len(made) == 1 else made
    finally:
        for worker in made:
            worker.end()
        loop.close()


def message(number: int) -> bytes:
    return b'{"body":"","headers":{"id":"%d"},"properties":{}}' % number


def publish(client: Any, *numbers: int) -> list[bytes]:
    """As a stock producer does."""
    sent = [message(number) for number in numbers]
    for entry in sent:
        client.lpush(LANE, entry)
    return sent


def waiting(client: Any) -> int:
    """How many workers wait for a message."""
    return sum(each["cmd"] == "blmove" for each in client.client_list())


def wait_until_waiting(loop: Loop, client: Any, count: int) -> None:
    loop.turn_until(lambda: waiting(client) == count, f"{count} workers that wait")
