"""All that the faults ask a broker about messages: the one file that follows either's layout."""

from dataclasses import asdict, dataclass
from typing import Protocol

import redis

from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.dead_letters import iterate


@dataclass(frozen=True)
class Letter:
    """A dead letter, as far as the faults look at it."""

    task_id: str | None
    reason: str
    message: bytes

    def is_of(self, task_id: str, entry: bytes) -> bool:
        """Whether it is of this task, wherever its id stands, or of this entry of the list."""
        return task_id.encode() in self.message or self.message == entry


class LaneState(Protocol):
    """What a lane holds, by the arm's own layout. Clients leave answers undecoded."""

    def ready(self, client: "redis.Redis", lane: str) -> int:
        """Messages that any worker may take."""

    def held(self, client: "redis.Redis", lane: str) -> int:
        """Messages that have no outcome yet: ready, delayed, or with a worker."""

    def dead_letters(self, client: "redis.Redis", lane: str) -> list[Letter]:
        """Messages that are kept and will not run."""


class LanewayState:
    """As Laneway itself counts."""

    def ready(self, client: "redis.Redis", lane: str) -> int:
        """Messages in the lane's lists."""
        return read_backlogs(client, [lane])[lane].ready

    def held(self, client: "redis.Redis", lane: str) -> int:
        """Every state that Laneway counts, but the dead."""
        counts = asdict(read_backlogs(client, [lane])[lane])
        return sum(count for state, count in counts.items() if state != "dead")

    def dead_letters(self, client: "redis.Redis", lane: str) -> list[Letter]:
        """The lane's records."""
        return [
            Letter(found.task_id, f"{found.kind}: {found.reason}", found.message)
            for found in iterate(client, lane)
        ]


class StockState:
    """As stock kombu stores it; it keeps no dead letters."""

    def ready(self, client: "redis.Redis", lane: str) -> int:
        """The plain list."""
        return int(client.llen(lane))

    def held(self, client: "redis.Redis", lane: str) -> int:
        """The plain list, and what kombu notes as delivered."""
        return int(client.llen(lane)) + int(client.hlen("unacked"))

    def dead_letters(self, client: "redis.Redis", lane: str) -> list[Letter]:
        """None: what cannot run is dropped, or ends the worker."""
        del client, lane
        return []
