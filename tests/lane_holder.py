"""A worker's hold on a lane, without a worker: it claims and settles at once, command by command."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from laneway.tasks.broker import keys
from laneway.tasks.broker.commands import SCRIPTS, Commands, HoldOptions
from laneway.tasks.broker.ledger import Claim, Ledger, Settlement, Verb
from laneway.tasks.broker.scripting import script
from redis_server import RedisServer


class LaneHolder:
    """Speaks the commands of a worker; `client` answers in plain bytes."""

    def __init__(self, client: "redis.Redis", lane: str, worker: str, **options: Any) -> None:
        self.client, self.lane = client, lane
        self.ledger = Ledger(worker)
        self._commands = Commands(HoldOptions(lane=lane, worker=worker, **options), self.ledger)
        for name in SCRIPTS:
            client.script_load(script(name).source)
        self.ledger.begin_epoch()
        self._ask(self._commands.enlist([]))

    def send(self, message: bytes, step: int = 1) -> None:
        """As a producer does; `step` is the number of the ready list, 1 for the plain one."""
        self.client.lpush(keys.ready_lists(self.lane)[step - 1], message)

    def claim(self, room: int = 100) -> list[Claim]:
        _, claimed, _ = self._ask(self._commands.claim(room))
        return self.ledger.take(zip(*(claimed[at::4] for at in range(4)), strict=True))

    def settle(self, verb: Verb, claim: Claim, argument: str = "") -> None:
        self.ledger.settle(Settlement(verb, claim.id, argument))
        sent = self.ledger.send_settlements(1)
        self._ask(self._commands.settle(sent))
        self.ledger.answered([claim.id])

    def bury(
        self, message: bytes, kind: str = "unknown task", reason: str = "", step: int = 1
    ) -> str:
        """Send a message, claim it, and make it a dead letter; its id."""
        before = set(self._dead())
        self.send(message, step)
        (claim,) = self.claim()
        self.settle("bury", claim, f"{kind}\n{reason or kind}")
        (letter,) = set(self._dead()) - before
        return letter

    def redis_ms(self) -> int:
        """Redis's clock, milliseconds since the epoch."""
        seconds, micros = self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def tend(self, asked_ms: int | None = None) -> Any:
        return self._ask(self._commands.tend(asked_ms))

    def _dead(self) -> list[str]:
        return [name.decode() for name in self.client.zrange(keys.dead_letters(self.lane), 0, -1)]

    def _ask(self, command: Any) -> Any:
        return self.client.execute_command(*command)


@contextmanager
def lane_holder(
    server: RedisServer, lane: str, worker: str = "w1", **options: Any
) -> Iterator[LaneHolder]:
    """A holder on a Redis; `options` are those of `HoldOptions`."""
    with redis.Redis.from_url(server.url) as client:
        yield LaneHolder(client, lane, worker, **options)


def envelope(task: str = "a.b", task_id: str = "1", body: str = "") -> bytes:
    """A message as kombu writes it, as far as dead letters read it."""
    parts = {"body": body, "headers": {"task": task, "id": task_id}, "properties": {}}
    return json.dumps(parts).encode()
