"""How a request ends the claim on its message, on Laneway's transport or on kombu's own."""

from dataclasses import dataclass
from typing import Any, Protocol

from laneway.tasks.broker.ledger import Claim, Verb
from laneway.tasks.broker.link import LaneLink


class Hold(Protocol):
    """What a worker may do with a message that it holds."""

    @property
    def deliveries(self) -> int:
        """How often the message was delivered, this time included; 1 where nobody counts."""

    def ack(self) -> None:
        """It is done."""

    def settle(self, verb: Verb, argument: str = "") -> None:
        """It ends in another way: see `scripts/settle.lua`."""


@dataclass(frozen=True, slots=True)
class ClaimHold:
    """A message that the link claimed."""

    link: LaneLink
    claim: str
    deliveries: int
    message: Any = None
    """kombu's message, if one was made of it: its channel is to forget it."""

    def ack(self) -> None:
        """It is done."""
        self._forget()
        self.link.ack(self.claim)

    def settle(self, verb: Verb, argument: str = "") -> None:
        """It ends in another way."""
        self._forget()
        self.link.settle(verb, self.claim, argument)

    def _forget(self) -> None:
        if self.message is not None:
            self.message.channel.qos.forget(self.claim)


@dataclass(frozen=True, slots=True)
class StockHold:
    """A message that kombu's own transport delivered."""

    request: Any
    deliveries: int = 1

    def ack(self) -> None:
        """It is done."""
        self.request.on_ack(None, ())

    def settle(self, verb: Verb, argument: str = "") -> None:
        """Give it back, whatever it was to be; what was to be a dead letter is gone."""
        del argument
        self.request.on_reject(None, (), verb != "bury")


def hold_of(link: LaneLink, message: Any, request: Any) -> Hold:
    """The hold on a kombu message."""
    claim: Claim | None = link.ledger.held.get(message.delivery_tag)
    if claim is None:
        return StockHold(request)
    return ClaimHold(link, claim.id, claim.deliveries, message)
