"""A worker's link to its lane: claims, acknowledgements and leases over connections that come and go.

Two connections. On the one go commands, one behind the other, nobody waiting for an answer. On the
other waits, while the lane is empty, a blocking move with a claim behind it: Redis runs both in one
go when a message comes, so that it is recorded as claimed before it leaves Redis, and one message
wakes one worker. When either breaks, `connector.py` makes both anew and settles what each side
holds; tasks run on meanwhile, and nothing above notices.
"""

import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from threading import get_ident
from typing import Any, Protocol

from redis.exceptions import RedisError

from laneway.tasks.broker.commands import MOST_AT_ONCE, Command, Commands, HoldOptions
from laneway.tasks.broker.connector import BROKEN, Connector, Pair
from laneway.tasks.broker.ledger import Claim, Ledger, Settlement, Verb
from laneway.tasks.broker.scripting import FENCED
from laneway.tasks.broker.waiter import WAIT_S, Waiter
from laneway.tasks.broker.wire import Wire

TEND_S = 1.0
"""How often a worker renews its lease and looks for what is due or was left behind."""

COMING_BACK_S = 5.0
"""Until then after a connection was made, nobody is called dead: where Redis was away, the other
workers come back in these seconds too."""

LOW_POLL_S = 0.1
LOW_SEEN_S = 600.0
"""A lane whose priority sub-lists were used lately is looked at so often while its worker waits: it
waits for the plain list alone."""

DUE_SLACK_S = 0.005
"""Looking for a due message the moment it is due would often find it not quite due."""

LINGER_S = 0.003
"""How long a few acknowledgements, or a little room, wait for more to go along with them."""

ACKS_AT_ONCE = 64

REFILL_FROM = 8
"""Room for so many is worth a claim; less lingers, unless little is held."""


class Loop(Protocol):
    """What is needed of kombu's Hub. Delays are in seconds."""

    def add_reader(self, fds: Any, callback: Callable[..., Any], *args: Any) -> Any:
        """Call back whenever the socket is readable."""

    def remove(self, fd: Any) -> None:
        """Look at the socket no longer."""

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any:
        """Call back at the next turn; safe from any thread."""

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Call back once."""

    def call_repeatedly(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Call back again and again; what it returns can be cancelled."""


class Listener:
    """Hears what a link meets. Every method may be overridden; none may raise."""

    def on_up(self, returned: int) -> None:
        """Connected; `returned` messages that nobody knew to hold went back to the lane."""

    def on_down(self, error: Exception) -> None:
        """The connection broke or could not be made; another try follows."""

    def on_buried(self, letters: list[tuple[str, str, bytes]]) -> None:
        """Messages that became dead letters instead of being claimed: id, kind, message."""

    def on_late(self, count: int, lost: list[Claim]) -> None:
        """The lease had run out. `count` ends changed nothing; `lost` run here and elsewhere."""

    def on_tended(self, due: int, recovered: int) -> None:
        """Delayed messages that went back to the lane, and messages of workers that are gone."""

    def on_answered(self, what: str, took_s: float) -> None:
        """Redis answered a claim, a settle or a tend after so long."""


class LaneLink:
    """One worker's link to one lane, for the event loop's thread; `ack` and `settle` for any."""

    def __init__(
        self,
        options: HoldOptions,
        connect: Callable[[], Any],
        *,
        timeout_s: float = 5.0,
        listener: Listener | None = None,
    ) -> None:
        """Make a link; nothing is connected before `attach`.

        Args:
            options: how messages are held.
            connect: makes a redis-py connection of this link's own.
            timeout_s: longest wait for an answer of Redis.
            listener: hears what happens.
        """
        self.ledger = Ledger(options.worker)
        self.listener = listener or Listener()
        self.claiming = True
        """Whether messages are claimed; false once the worker drains."""
        self.redis_ms = 0
        """Redis's clock at its last answer, milliseconds since the epoch."""
        self._timeout_s = timeout_s
        self._commands = Commands(options, self.ledger)
        self._connector = Connector(connect, self._commands, self.ledger)
        self._loop: Loop | None = None
        self._deliver: Callable[[Claim], None] = _nowhere
        self._room: Callable[[], int] = _none
        self._command: Wire | None = None
        self._waiter: Waiter | None = None
        self._asked = False  # a claim is on its way
        self._empty = True
        self._pump_due = self._linger_due = self._soon_due = False
        self._low_until_s = self._answered_at_s = self._may_recover_at_s = 0.0
        self._timer: Any = None
        self._thread = 0

    def attach(self, loop: Loop, deliver: Callable[[Claim], None], room: Callable[[], int]) -> None:
        """Begin to serve: `deliver` takes each claim, `room` says how many more may come."""
        self._deliver, self._room, self._loop = deliver, room, loop
        self._thread = get_ident()
        # Celery empties the loop when it starts its consumer anew: what was there is put back.
        self._pump_due = self._linger_due = self._soon_due = False
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_repeatedly(TEND_S, self._tend)
        self._connector.attach(loop, self._connected, self.listener.on_down)
        for wire in filter(None, (self._command, self._waiter)):
            loop.add_reader(wire.fileno(), self._read, wire)
        if self._command is None:
            self._connector.connect()
        self.pump_soon()

    def detach(self) -> None:
        """Deliver nothing more; what is held stays held, and its lease is renewed.

        What a wake-up that is still out claims later goes back to the lane.
        """
        self._deliver, self._room = self._give_back, _none

    def _give_back(self, claim: Claim) -> None:
        self.settle("head", claim.id)

    def __json__(self) -> str:
        """What `inspect stats` shows of it among the transport's options."""
        return self.ledger.worker

    @property
    def _attached(self) -> Loop:
        if self._loop is None:
            raise RuntimeError("The link is not attached to an event loop yet: call `attach`.")
        return self._loop

    @property
    def away(self) -> bool:
        """Whether Redis does not answer, as far as is known."""
        return self._loop is not None and self._command is None

    def ack(self, claim: str) -> None:
        """The task of this claim has ended."""
        if get_ident() != self._thread and self._loop is not None:
            self._loop.call_soon(self.ack, claim)
            return
        if not self.ledger.ack(claim):
            self.listener.on_late(1, [])
        self.pump_soon()

    def settle(self, verb: Verb, claim: str, argument: str = "") -> None:
        """End a claim in another way: see `scripts/settle.lua`."""
        if get_ident() != self._thread and self._loop is not None:
            self._loop.call_soon(self.settle, verb, claim, argument)
            return
        if not self.ledger.settle(Settlement(verb, claim, argument)):
            self.listener.on_late(1, [])
        self.pump_soon()

    def stop_claiming(self) -> None:
        """Claim nothing more; what a wake-up may just have claimed goes back at once."""
        if not self.claiming:
            return
        self.claiming = False
        # With a new epoch, the claim that waits behind the wake-up is refused from now on.
        self._drop()
        self._connector.connect()

    def leave(self) -> None:
        """Tell Redis what is left to tell and give back what is still held; the link ends.

        Waits for the answers. What cannot be told comes back when the lease runs out.
        """
        self.claiming = False
        self._drop()
        try:
            self._connector.leave()
        except BROKEN as error:
            self.listener.on_down(error)

    def pump_soon(self) -> None:
        """See at the next turn of the loop what is to be sent."""
        if not self._pump_due and self._loop is not None:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def _pump(self, *, lingered: bool = False) -> None:
        self._pump_due = False
        if self._command is None:
            return
        with self._mending():
            if self.ledger.settlements:
                self._send_settlements(self._command)
            room = min(self._room(), MOST_AT_ONCE) if self.claiming and not self._asked else 0
            enough = lingered or room >= min(len(self.ledger.held), REFILL_FROM)
            if room > 0 and enough and self._waiter is not None:
                self._fetch(self._command, self._waiter, room)
            if self.ledger.acks and (lingered or len(self.ledger.acks) >= ACKS_AT_ONCE):
                self._send_claim(self._command, 0)
            if self.ledger.acks or (room > 0 and not enough):
                self._linger()

    def _linger(self) -> None:
        if not self._linger_due and self._loop is not None:
            self._linger_due = True
            self._loop.call_later(LINGER_S, self._after_lingering)

    def _after_lingering(self) -> None:
        self._linger_due = False
        self._pump(lingered=True)

    def _send_claim(self, command: Wire, room: int) -> None:
        sent = self.ledger.send_acks(MOST_AT_ONCE)
        self._asked = self._asked or room > 0

        def on_reply(reply: Any) -> None:
            if self._refused(reply):
                return
            self.ledger.answered(sent)
            if room:
                self._asked = False
                self._claimed(room, reply)

        self._ask(command, "claim", self._commands.claim(room, sent), on_reply)

    def _ask(self, wire: Wire, what: str, asked: Command, on_reply: Callable[[Any], None]) -> None:
        asked_s = time.monotonic()

        def answered(reply: Any) -> None:
            self.listener.on_answered(what, time.monotonic() - asked_s)
            on_reply(reply)

        wire.send(*asked, on_reply=answered)

    def _fetch(self, command: Wire, waiter: Waiter, room: int) -> None:
        """Claim what is there, or wait: never both, as each would fill the same room."""
        if waiter.waits:
            if not self._empty:  # say in a priority sub-list, for which it does not wait
                self._empty = True
                command.send(*waiter.interrupt)
        elif not self._empty:
            self._send_claim(command, room)
        elif not waiter.rests:
            self._wait(waiter, room)

    def _wait(self, waiter: Waiter, room: int) -> None:
        def on_reply(reply: Any) -> None:
            if not self._refused(reply):
                self._claimed(room, reply)

        waiter.wait(self._commands.wait(WAIT_S), self._commands.claim(room), on_reply)

    def _claimed(self, room: int, reply: Any) -> None:
        now_ms, claimed, buried = reply
        self._note_clock(now_ms)
        found = self.ledger.take(zip(*(claimed[at::4] for at in range(4)), strict=True))
        self._empty = len(found) < room and not buried
        if buried:
            letters = zip(*(buried[at::3] for at in range(3)), strict=True)
            told = [(str(name, "ascii"), str(kind, "ascii"), sent) for name, kind, sent in letters]
            self.listener.on_buried(told)
        for claim in found:
            self._deliver(claim)
        self.pump_soon()

    def _send_settlements(self, command: Wire) -> None:
        sent = self.ledger.send_settlements(MOST_AT_ONCE)

        def on_reply(reply: Any) -> None:
            if not self._refused(reply):
                self.ledger.answered(settlement.claim for settlement in sent)

        self._ask(command, "settle", self._commands.settle(sent), on_reply)

    def _tend(self) -> None:
        if self._command is None:
            return
        with self._mending():
            self._command.check(self._timeout_s)
            if self._waiter is not None:
                self._waiter.check(WAIT_S + self._timeout_s)
            asked = self._commands.tend(self._asking_ms())
            self._ask(self._command, "tend", asked, self._tended)

    def _note_clock(self, now_ms: int) -> None:
        self.redis_ms, self._answered_at_s = now_ms, time.monotonic()

    def _asking_ms(self) -> int:
        """Redis's clock, as far as it is known; 0 while others may only now be coming back."""
        if time.monotonic() < self._may_recover_at_s:
            return 0
        return self.redis_ms + round((time.monotonic() - self._answered_at_s) * 1000)

    def _tended(self, reply: Any) -> None:
        if self._refused(reply):
            return
        now_ms, due, recovered, next_ms, ready, low = reply
        self._note_clock(now_ms)
        if due or recovered:
            self.listener.on_tended(due, recovered)
        self._empty = self._empty and not ready
        if low:
            self._low_until_s = time.monotonic() + LOW_SEEN_S
        soon_s = (next_ms - self.redis_ms) / 1000 + DUE_SLACK_S if next_ms >= 0 else TEND_S
        waits = self._waiter is not None and self._waiter.waits
        if waits and time.monotonic() < self._low_until_s:
            soon_s = min(soon_s, LOW_POLL_S)
        self._tend_soon(soon_s)
        self.pump_soon()

    def _tend_soon(self, delay_s: float) -> None:
        """Tend once more before the timer does, if something is due before."""
        if delay_s < TEND_S and not self._soon_due and self._loop is not None:
            self._soon_due = True
            self._loop.call_later(max(delay_s, 0.0), self._after_soon)

    def _after_soon(self) -> None:
        self._soon_due = False
        self._tend()

    def _refused(self, reply: Any) -> bool:
        """Whether this worker has lost its lease: then it begins anew."""
        if reply[0] != FENCED:
            return False
        self._drop()
        self._connector.connect()
        return True

    def _connected(self, pair: Pair) -> None:
        self._command, self._waiter = pair.command, pair.waiter
        self._note_clock(pair.redis_ms)
        for wire in (self._command, self._waiter):
            self._attached.add_reader(wire.fileno(), self._read, wire)
        self._may_recover_at_s = self._answered_at_s + COMING_BACK_S
        self._asked = False
        self._empty = False  # unknown: the first claim tells
        if pair.reconciled.late or pair.reconciled.lost:
            self.listener.on_late(pair.reconciled.late, pair.reconciled.lost)
        self.listener.on_up(pair.returned)
        self._tend()
        self.pump_soon()

    def _read(self, wire: Wire) -> None:
        with self._mending():
            wire.read()

    @contextmanager
    def _mending(self) -> Any:
        try:
            yield
        except (RedisError, OSError) as error:
            self.listener.on_down(error)
            self._drop()
            self._connector.connect()

    def _drop(self) -> None:
        for wire in (self._command, self._waiter):
            if wire is not None and self._loop is not None:
                with suppress(OSError):  # it closed by itself, and the loop lost sight of it
                    self._loop.remove(wire.fileno())
                wire.close()
        self._command = self._waiter = None


def _nowhere(claim: Claim) -> None:
    del claim


def _none() -> int:
    return 0
