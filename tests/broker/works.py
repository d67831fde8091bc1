"""Work that workers do in a moment, and what became of each message."""

import random
from collections import Counter
from collections.abc import Callable

from broker.link_harness import Worker
from laneway.tasks.broker.ledger import Claim

WAYS = ("ack", "ack", "ack", "tail", "head", "again", "park")
"""How a message ends when it is given for the first time; later it is acknowledged."""


class Works:
    """Runs what workers are given for a moment, and ends it."""

    def __init__(self, them: list[Worker], seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.running: dict[bytes, Claim] = {}
        self.twice: list[Claim] = []
        """Given while they ran."""
        self.acknowledged: Counter[bytes] = Counter()
        self._ways: dict[bytes, str] = {}
        for worker in them:
            worker.on_claim = self._begin_on(worker)

    def _begin_on(self, worker: Worker) -> Callable[[Claim], None]:
        def begin(claim: Claim) -> None:
            if claim.message in self.running:
                self.twice.append(claim)
            self.running[claim.message] = claim
            worker.loop.hub.call_later(self._random.uniform(0.0, 0.02), self._end, worker, claim)

        return begin

    def _end(self, worker: Worker, claim: Claim) -> None:
        self.running.pop(claim.message, None)
        first = claim.message not in self._ways
        way = self._ways.setdefault(claim.message, self._random.choice(WAYS)) if first else "ack"
        if way == "ack":
            self.acknowledged[claim.message] += 1
            worker.link.ack(claim.id)
        else:
            worker.link.settle(way, claim.id, str(worker.link.redis_ms) if way == "park" else "")
