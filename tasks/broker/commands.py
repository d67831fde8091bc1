"""The commands by which a worker speaks of its lane to Redis: see `scripts/*.lua` for what they do."""

from collections.abc import Sequence
from dataclasses import dataclass

from laneway.tasks.broker import keys
from laneway.tasks.broker.ledger import Ledger, Settlement
from laneway.tasks.broker.scripting import script

MOST_AT_ONCE = 1_000
"""Messages that one command moves: Redis serves nobody else meanwhile."""

SCRIPTS = ("claim", "settle", "tend", "enlist", "leave")

Command = tuple[str | bytes | float, ...]


@dataclass(frozen=True)
class HoldOptions:
    """How a worker holds a lane's messages."""

    lane: str
    worker: str
    lease_ms: int = 60_000
    max_deliveries: int = 5
    message_limit_bytes: int = 16 * 2**20
    dead_kept: int = 100_000
    dead_kept_ms: int = 30 * 86_400_000
    priorities: bool = True
    """Whether the priority sub-lists are served; not in a Redis Cluster, where they lie elsewhere."""


class Commands:
    """Builds the commands of one worker on one lane."""

    def __init__(self, options: HoldOptions, ledger: Ledger) -> None:
        self._options = options
        self._ledger = ledger
        lane = options.lane
        self._ready = keys.ready_lists(lane) if options.priorities else [lane]
        self._claims, self._epochs = keys.claims(lane), keys.epochs(lane)
        self._dead = [keys.dead_letters(lane), keys.dead_records(lane)]
        self._kept = (options.dead_kept, options.dead_kept_ms)

    def claim(self, room: int, acks: Sequence[str] = ()) -> Command:
        """Acknowledge, and claim up to `room` messages."""
        before = self._ledger.reserve(room)
        options, lane = self._options, self._options.lane
        beside = [keys.delayed(lane), *self._dead, keys.intake(lane)]
        names = [self._claims, self._epochs, *beside, *self._ready]
        limits = (options.max_deliveries, options.message_limit_bytes, *self._kept)
        asked = (*self._identity(), room, before, *limits, self._ledger.worst)
        return _call("claim", names, (*asked, *acks))

    def wait(self, limit_s: float) -> Command:
        """Wait for a message and put it where the claim that follows takes it first."""
        lane = self._options.lane
        return ("BLMOVE", lane, keys.intake(lane), "RIGHT", "LEFT", limit_s)

    def settle(self, settlements: Sequence[Settlement]) -> Command:
        """End claims in other ways than an acknowledgement."""
        names = [self._claims, self._epochs, keys.delayed(self._options.lane), *self._dead]
        ends = (word for s in settlements for word in (s.verb, s.claim, s.argument))
        return _call("settle", [*names, *self._ready], (*self._identity(), *self._kept, *ends))

    def tend(self, asked_ms: int | None = None) -> Command:
        """Renew the lease; move what is due, and what the dead held.

        Args:
            asked_ms: now, by Redis's clock as far as it is known, where it may take a while to
                get there; 0 to call no worker dead.
        """
        asked = () if asked_ms is None else (asked_ms,)
        arguments = (*self._identity(), self._options.lease_ms, MOST_AT_ONCE, *asked)
        return _call("tend", tend_keys(self._options.lane, self._ready), arguments)

    def enlist(self, known: Sequence[str]) -> Command:
        """Begin an epoch; `known` are the claims this worker knows to hold."""
        names = [self._claims, self._epochs, keys.leases(self._options.lane), *self._ready]
        return _call("enlist", names, (*self._identity(), self._options.lease_ms, *known))

    def leave(self) -> Command:
        """Give back what is held and end the lease."""
        names = [self._claims, self._epochs, keys.leases(self._options.lane), *self._ready]
        return _call("leave", names, self._identity())

    def _identity(self) -> tuple[str, int]:
        return self._options.worker, self._ledger.epoch


def tend_keys(lane: str, ready: Sequence[str]) -> list[str]:
    """The keys of `tend.lua`."""
    names = [keys.claims(lane), keys.epochs(lane), keys.leases(lane), keys.delayed(lane)]
    return [*names, keys.intake(lane), *ready]


def _call(name: str, names: Sequence[str], arguments: Sequence[str | float]) -> Command:
    return ("EVALSHA", script(name).digest, len(names), *names, *arguments)
