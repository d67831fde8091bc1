"""Makes a worker's connections and settles, on each new pair, what both sides hold.

In a thread: a Redis that does not answer would otherwise hold up the event loop, which keeps
limits, probes and the tasks' own answers going meanwhile.
"""

import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

from redis.exceptions import RedisError

from laneway.tasks.broker.commands import MOST_AT_ONCE, SCRIPTS, Commands
from laneway.tasks.broker.ledger import Ledger, Reconciled
from laneway.tasks.broker.scripting import FENCED, script
from laneway.tasks.broker.waiter import Waiter
from laneway.tasks.broker.wire import Wire

BROKEN = (RedisError, OSError)

PAUSES_S = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Before the first try to connect, the second, …; the last one from then on."""

BRIEF_S = 5.0
"""Connections that last less than this are made anew after a pause."""


@dataclass(frozen=True)
class Pair:
    """Two connections that are ready for use, and what the change of epoch brought to light."""

    command: Wire
    waiter: Waiter
    redis_ms: int
    returned: int
    reconciled: Reconciled


class Doorbell:
    """Rung in any thread, answered in that of an event loop."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Not before the last thread that may ring it is gone, since it holds this object.
        weakref.finalize(self, os.close, self._fd).atexit = False
        self._loop: Any = None

    def attach(self, loop: Any, answer: Callable[[], None]) -> None:
        """Have `loop` call `answer` when it was rung, be it once or more often."""
        self._loop = loop
        loop.add_reader(self._fd, self._on_readable, answer)

    def detach(self) -> None:
        """Be answered no more."""
        if self._loop is not None:
            with suppress(OSError):  # the loop is closed
                self._loop.remove(self._fd)
            self._loop = None

    def ring(self) -> None:
        """Have it answered soon."""
        os.eventfd_write(self._fd, 1)

    def _on_readable(self, answer: Callable[[], None]) -> None:
        os.eventfd_read(self._fd)
        answer()


class Connector:
    """Connects once at a time, tries until it succeeds, and tells in the loop's thread."""

    def __init__(self, connect: Callable[[], Any], commands: Commands, ledger: Ledger) -> None:
        self._connect = connect
        self._commands = commands
        self._ledger = ledger
        self._on_pair: Callable[[Pair], None] | None = None
        self._on_failure: Callable[[Exception], None] | None = None
        self._doorbell = Doorbell()
        self._outcomes: deque[tuple[Wire, Waiter, Any] | Exception] = deque()
        self._connecting = False
        self._ended = False
        self._made_at_s = 0.0
        self._brief = 0
        """How many pairs in a row did not last."""

    def attach(
        self, loop: Any, on_pair: Callable[[Pair], None], on_failure: Callable[[Exception], None]
    ) -> None:
        """Tell `on_pair` and `on_failure` in the thread of `loop`."""
        self._on_pair, self._on_failure = on_pair, on_failure
        self._doorbell.attach(loop, self._take_outcomes)

    def connect(self) -> None:
        """Make a new pair, for which a new epoch begins; ends an older try's claim to be used."""
        if self._connecting or self._ended:
            return
        self._connecting = True
        # A Redis that takes connections but no commands is not to be asked without a pause.
        self._brief = self._brief + 1 if time.monotonic() - self._made_at_s < BRIEF_S else 0
        known = self._ledger.begin_epoch()
        Thread(target=self._try, args=(known,), name="connect", daemon=True).start()

    def leave(self) -> None:
        """Tell what is left to tell, give back the rest, end the lease; raises what is BROKEN."""
        self._ended = True
        self._doorbell.detach()
        command, waiter, reply = self._open(self._ledger.begin_epoch())
        waiter.close()
        try:
            self._reconcile(reply)
            while sent := self._ledger.send_settlements(MOST_AT_ONCE):
                command.ask(*self._commands.settle(sent))
                self._ledger.answered(settlement.claim for settlement in sent)
            while acks := self._ledger.send_acks(MOST_AT_ONCE):
                command.ask(*self._commands.claim(0, acks))
                self._ledger.answered(acks)
            command.ask(*self._commands.leave())
        finally:
            command.close()

    def _try(self, known: list[str]) -> None:
        tries = self._brief
        while not self._ended:
            time.sleep(PAUSES_S[min(tries, len(PAUSES_S) - 1)])
            if tries > self._brief:
                # What an earlier try sent may arrive yet, and would then take back what this one
                # claims: `enlist.lua` refuses what is older than the present epoch.
                self._ledger.epoch += 1
            tries += 1
            try:
                self._outcomes.append(self._open(known))
            except Exception as error:  # noqa: BLE001 - told, and tried again, whatever it is
                self._outcomes.append(error)
            else:
                self._doorbell.ring()
                return
            self._doorbell.ring()

    def _open(self, known: list[str]) -> tuple[Wire, Waiter, Any]:
        """Two new connections, and the answer to `enlist`. Waits."""
        command = Wire(self._connect())
        try:
            for name in SCRIPTS:
                command.ask("SCRIPT", "LOAD", script(name).source)
            reply = _enlisted(command.ask(*self._commands.enlist(known)))
            return command, Waiter(self._connect()), reply
        except BaseException:
            command.close()
            raise

    def _take_outcomes(self) -> None:
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if isinstance(outcome, Exception):
                if self._on_failure is not None:
                    self._on_failure(outcome)
                continue
            self._connecting = False
            self._made_at_s = time.monotonic()
            command, waiter, reply = outcome
            reconciled = self._reconcile(reply)
            if self._on_pair is not None:
                self._on_pair(Pair(command, waiter, int(reply[0]), int(reply[2]), reconciled))

    def _reconcile(self, reply: Any) -> Reconciled:
        _, had_lease, _, still = reply
        return self._ledger.reconcile(
            (str(claim, "utf-8") for claim in still), kept_lease=bool(had_lease)
        )


def _enlisted(reply: Any) -> Any:
    if reply[0] == FENCED:
        raise ConnectionError("a later connection of this worker is in use")
    return reply
