"""What one worker holds of one lane, and what it has yet to tell Redis.

Plain bookkeeping without any input or output. It outlives connections: what Redis did not answer
is told again on the next one, and what changed hands meanwhile is found out there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["head", "tail", "again", "park", "turn", "bury"]
"""How a claim may end besides an acknowledgement: see `scripts/settle.lua`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One message that this worker holds.

    `id` is unique to this claim; `deliveries` counts it; `turn_ms` is when its rate limit admitted
    it, 0 for not at all; `message` is what the producer sent.
    """

    id: str
    deliveries: int
    turn_ms: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """A claim about to end in another way than an acknowledgement."""

    verb: Verb
    claim: str
    argument: str = ""


@dataclass
class Ledger:
    """The claims of one worker, by what is to become of them."""

    worker: str
    epoch: int = 0
    number: int = 0
    """Of the last claim asked for. Numbers are never used twice, whether the answer came or not."""

    held: dict[str, Claim] = field(default_factory=dict)
    acks: list[str] = field(default_factory=list)
    settlements: list[Settlement] = field(default_factory=list)
    _unanswered_acks: set[str] = field(default_factory=set)
    _unanswered: dict[str, Settlement] = field(default_factory=dict)
    _lost: set[str] = field(default_factory=set)

    def reserve(self, room: int) -> int:
        """Numbers for `room` claims; the number before the first of them."""
        before = self.number
        self.number += room
        return before

    @property
    def worst(self) -> int:
        """Deliveries of what is held and was delivered most often; 0 if nothing is held."""
        return max((claim.deliveries for claim in self.held.values()), default=0)

    def take(self, numbered: Iterable[tuple[int, int, int, bytes]]) -> list[Claim]:
        """Note what Redis says was claimed: number, deliveries, turn, message."""
        claims = [
            Claim(f"{self.worker}/{number}", deliveries, turn_ms, message)
            for number, deliveries, turn_ms, message in numbered
        ]
        self.held.update((claim.id, claim) for claim in claims)
        return claims

    def ack(self, claim: str) -> bool:
        """The task has ended. False if the claim was lost meanwhile: then this changes nothing."""
        if not self._ends(claim):
            return False
        self.acks.append(claim)
        return True

    def settle(self, settlement: Settlement) -> bool:
        """The claim ends in another way. False if it was lost meanwhile."""
        if not self._ends(settlement.claim):
            return False
        self.settlements.append(settlement)
        return True

    def _ends(self, claim: str) -> bool:
        if claim in self._lost:
            self._lost.discard(claim)
            return False
        return self.held.pop(claim, None) is not None

    def send_acks(self, most: int) -> list[str]:
        """Acknowledgements to send now; they count as told once `answered` says so."""
        sent, self.acks = self.acks[:most], self.acks[most:]
        self._unanswered_acks.update(sent)
        return sent

    def send_settlements(self, most: int) -> list[Settlement]:
        """Settlements to send now."""
        sent, self.settlements = self.settlements[:most], self.settlements[most:]
        self._unanswered.update((settlement.claim, settlement) for settlement in sent)
        return sent

    def answered(self, claims: Iterable[str]) -> None:
        """Redis has done what was sent of these claims."""
        for claim in claims:
            self._unanswered_acks.discard(claim)
            self._unanswered.pop(claim, None)

    def begin_epoch(self) -> list[str]:
        """A new connection begins: what was not answered is to be told again.

        Returns the claims that this worker knows to hold.
        """
        self.epoch += 1
        self.acks = [*self._unanswered_acks, *self.acks]
        self.settlements = [*self._unanswered.values(), *self.settlements]
        self._unanswered_acks.clear()
        self._unanswered.clear()
        return [*self.held, *self.acks, *(s.claim for s in self.settlements)]

    def reconcile(self, still_held: Iterable[str], *, kept_lease: bool) -> "Reconciled":
        """Compare with what Redis still has of the claims that `begin_epoch` told it.

        Args:
            still_held: of those claims.
            kept_lease: whether the lease never ran out. Then a claim that Redis no longer has was
                ended by a command whose answer was lost; else another worker has its message.
        """
        still = set(still_held)
        told = [*self.acks, *(s.claim for s in self.settlements)]
        late = 0 if kept_lease else sum(claim not in still for claim in told)
        self.acks = [claim for claim in self.acks if claim in still]
        self.settlements = [s for s in self.settlements if s.claim in still]
        lost = [claim for claim in self.held.values() if claim.id not in still]
        for claim in lost:
            del self.held[claim.id]
            self._lost.add(claim.id)
        return Reconciled(late=late, lost=lost)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a worker learns when it comes back.

    `late` counts ends that changed nothing, as another worker has the messages; `lost` are the
    claims whose tasks still run here although others have their messages.
    """

    late: int
    lost: list[Claim]
