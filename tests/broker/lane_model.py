"""What a lane's scripts ought to do, in plain Python, and what Redis has, in the same terms.

The model was written from what the scripts promise, not from their text. It has a list for each
place a message can be in, so that nothing can vanish in it unseen.
"""

import json
import math
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from laneway.tasks.broker import keys
from laneway.tasks.broker.commands import HoldOptions

FENCED = [-1]
STALE_MS = 2_000
DOUBT_MS, DOUBTS = 1_000, 5
ASIDE_MS = 1_000
READ = """
local read = {list = {'LRANGE', 0, -1}, hash = {'HGETALL'}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'}}
local found = {}
for at, name in ipairs(KEYS) do
  local command = read[redis.call('TYPE', name).ok]
  found[at] = command and redis.call(command[1], name, unpack(command, 2)) or {}
end
return found
"""
NOTE = re.compile(rb'\{"laneway":\[\d+,(\d{1,9}),"([\w.@-]+)",(\d{1,15}),([01])[^\]]*\],', re.ASCII)
HEAD = re.compile(rb"\d+ (\d{1,9}) (\d{1,9}) (\S+) ([\w.@-]+) (\d{1,15})(?!\d)[^\n]*\n", re.ASCII)


@dataclass(frozen=True)
class Message:
    """A message in any place. `worker` lost it last."""

    raw: bytes
    deliveries: int = 0
    step: int = 1
    worker: str = "-"
    turn: int = 0


@dataclass(frozen=True)
class Letter:
    """A dead letter."""

    message: Message
    kind: str
    reason: str


def read_entry(entry: bytes, step: int) -> Message:
    """A message of a ready list."""
    note = NOTE.match(entry)
    if note is None:
        return Message(entry, step=step)
    deliveries, worker, turn, is_object = note.groups()
    raw = (b"{" if is_object == b"1" else b"") + entry[note.end() :]
    return Message(raw, int(deliveries), step, worker.decode(), int(turn))


def read_record(record: bytes) -> Message:
    """A message that is claimed or delayed."""
    head = HEAD.match(record)
    if head is None:
        return Message(record)
    deliveries, step, _, worker, turn = head.groups()
    raw = record[head.end() :]
    known = int(step) if int(step) in {1, 2, 3, 4} else 1
    return Message(raw, int(deliveries), known, worker.decode(), int(turn))


@dataclass
class Lane:
    """All places of one lane. The right end of a ready list is its head, as in Redis."""

    ready: dict[int, list[Message]] = field(default_factory=lambda: {n: [] for n in (1, 2, 3, 4)})
    intake: list[Message] = field(default_factory=list)
    claims: dict[str, Message] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    doubts: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Of workers whose lease ran out: how often they were missed, and when last."""
    delayed: list[tuple[int, Message]] = field(default_factory=list)
    dead: Counter[Letter] = field(default_factory=Counter)

    def raws(self) -> Counter[bytes]:
        """Every message that is anywhere."""
        listed = [m for messages in self.ready.values() for m in messages]
        waiting = [m for _, m in self.delayed]
        buried = [letter.message for letter in self.dead.elements()]
        return Counter(
            m.raw for m in [*listed, *self.intake, *self.claims.values(), *waiting, *buried]
        )


def read_lane(client: Any, lane: str, *, priorities: bool = True) -> Lane:
    """What Redis has of a lane; `client` must not decode."""
    ready = keys.ready_lists(lane) if priorities else [lane]
    names = [
        *ready,
        *(name(lane) for name in (keys.intake, keys.claims, keys.leases, keys.epochs)),
        *(name(lane) for name in (keys.delayed, keys.dead_letters, keys.dead_records)),
    ]
    *lists, intake, claims, leases, epochs, delayed, dead, letters = client.eval(
        READ, len(names), *names
    )
    claims, epochs, letters = _pairs(claims), _pairs(epochs), _pairs(letters)
    leases, delayed, dead = _pairs(leases), _pairs(delayed), _pairs(dead)
    assert set(dead) == set(letters), "a dead letter without its record, or the other way round"
    return Lane(
        ready={n: [read_entry(e, n) for e in entries] for n, entries in enumerate(lists, 1)},
        intake=[read_entry(entry, 1) for entry in intake],
        claims={claim.decode(): read_record(record) for claim, record in claims.items()},
        leases={worker.decode(): int(until) for worker, until in leases.items()},
        epochs={w.decode(): int(epoch) for w, epoch in epochs.items() if w[:1] != b"?"},
        doubts={w[1:].decode(): _doubt(seen) for w, seen in epochs.items() if w[:1] == b"?"},
        delayed=[(int(due), read_record(record)) for record, due in delayed.items()],
        dead=Counter(_read_letter(record) for record in letters.values()),
    )


def _pairs(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _doubt(seen: bytes) -> tuple[int, int]:
    times, last_ms = seen.split()
    return int(times), int(last_ms)


def _read_letter(record: bytes) -> Letter:
    line, _, raw = record.partition(b"\n")
    head = json.loads(line)
    message = Message(raw, head["deliveries"], head["step"], head["worker"])
    return Letter(message, head["kind"], head["reason"])


def owner_of(claim: str) -> str:
    return claim.rpartition("/")[0]


def number_of(claim: str) -> int:
    return int(claim.rpartition("/")[2])


class LaneModel(Lane):
    """What the scripts ought to do. Each method answers as its script does."""

    def __init__(self, options: HoldOptions) -> None:
        super().__init__()
        self.options = options
        self.now_ms = 1_000_000_000
        self.next_turn_us = 0
        self.published: Counter[bytes] = Counter()
        self.acked: Counter[bytes] = Counter()
        self._heads: list[tuple[int, str]] = []
        self.expired: set[str] = set()
        """Claims that were taken from their worker."""

    def places(self) -> Lane:
        """What Redis ought to have."""
        return Lane(**{each.name: getattr(self, each.name) for each in fields(Lane)})

    def publish(self, entry: bytes, step: int) -> None:
        message = read_entry(entry, step)
        self.published[message.raw] += 1
        self.ready[step].insert(0, message)

    def publish_delayed(self, record: bytes, due_ms: int) -> None:
        message = read_record(record)
        self.published[message.raw] += 1
        self._delay(due_ms, message)

    def wake(self) -> None:
        """BLMOVE onto the intake, when there is something."""
        if self.ready[1]:
            self.intake.insert(0, self.ready[1].pop())

    def claim(
        self, worker: str, epoch: int, room: int, before: int, worst: int, acks: Sequence[str]
    ) -> Any:
        if self.epochs.get(worker) != epoch:
            self.ready[1] += self.intake
            self.intake.clear()
            return FENCED
        for claim in acks:
            ended = self.claims.pop(claim, None)
            if ended is not None:
                self.acked[ended.raw] += 1
        claimed: list[Any] = []
        buried: list[Any] = []
        aside, first = 0, before
        for step, source in [(1, self.intake), *self.ready.items()]:
            while room > 0 and source:
                message = source.pop()
                kind = self._kind_of_death(message)
                if kind is not None:
                    buried += [kind.encode(), message.raw if kind != "too large" else b""]
                    continue
                delivery = message.deliveries + 1
                last = self.options.max_deliveries
                if min(delivery, worst) > 1 and (delivery >= last or worst >= last):
                    aside += 1
                    head = f"{message.deliveries} {step} {worker}/{first}/{aside}"
                    due_ms = self.now_ms + ASIDE_MS + aside
                    self._delay(due_ms, replace(message, step=step), head)
                    continue
                worst = max(worst, delivery)
                room -= 1
                before += 1
                held = replace(message, deliveries=message.deliveries + 1, step=step)
                self.claims[f"{worker}/{before}"] = held
                claimed += [before, held.deliveries, held.turn, held.raw]
        return [self.now_ms, claimed, buried]

    def _kind_of_death(self, message: Message) -> str | None:
        if message.deliveries >= self.options.max_deliveries:
            self._bury(
                message,
                "delivery limit",
                f"delivered {message.deliveries} times without an outcome (maxDeliveries)",
            )
            return "delivery limit"
        size, most = len(message.raw), self.options.message_limit_bytes
        if size > most:
            self._bury(message, "too large", f"{size} bytes, more than the {most} allowed")
            return "too large"
        return None

    def settle(self, worker: str, epoch: int, ends: Iterable[Any]) -> Any:
        if self.epochs.get(worker) != epoch:
            return FENCED
        missing = 0
        for end in ends:
            held = self.claims.pop(end.claim, None)
            if held is None:
                missing += 1
                continue
            unrun = replace(held, deliveries=held.deliveries - 1)
            match end.verb:
                case "head":
                    self.ready[held.step].append(unrun)
                case "tail":
                    self.ready[held.step].insert(0, replace(held, worker=worker))
                case "again":
                    self.ready[held.step].append(replace(held, worker=worker))
                case "park":
                    self._delay(int(end.argument), replace(unrun, turn=0))
                case "turn":
                    turn_ms = int(end.argument)
                    self._delay(turn_ms, replace(unrun, turn=turn_ms))
                case "bury":
                    kind, _, reason = end.argument.partition("\n")
                    self._bury(replace(held, worker=worker), kind, reason)
        return [self.now_ms, missing]

    def tend(self, worker: str, epoch: int, most: int, asked_ms: int | None = None) -> Any:
        if worker:
            if self.epochs.get(worker) != epoch:
                return FENCED
            self.leases[worker] = self.now_ms + self.options.lease_ms
            self.doubts.pop(worker, None)
        due = [entry for entry in self.delayed if entry[0] <= self.now_ms][:most]
        self.delayed, self._heads = self.delayed[len(due) :], self._heads[len(due) :]
        for entry in reversed(due):
            self.ready[entry[1].step].append(entry[1])
        gone = [w for w, until in self.leases.items() if until < self.now_ms]
        if asked_ms == 0:
            gone = [worker for worker in gone if self._doubted(worker)]
        elif asked_ms is not None and self.now_ms - asked_ms > STALE_MS:
            gone = []
        taken = self._reclaim(gone, most)
        upcoming = self.delayed[0][0] if self.delayed else -1
        low = sum(len(self.ready[step]) for step in (2, 3, 4))
        ready = len(self.intake) + len(self.ready[1]) + low
        return [self.now_ms, len(due), taken, upcoming, ready, low]

    def _doubted(self, worker: str) -> bool:
        """Note that it is missed; whether that was often enough."""
        times, last_ms = self.doubts.get(worker, (0, 0))
        if abs(self.now_ms - last_ms) >= DOUBT_MS:
            self.doubts[worker] = times, last_ms = times + 1, self.now_ms
        return times >= DOUBTS

    def _reclaim(self, gone: list[str], most: int) -> int:
        taken = 0
        for worker in sorted(gone, key=lambda name: (self.leases[name], name)):
            self.epochs.pop(worker, None)
            self.doubts.pop(worker, None)
            for claim in self._claims_of(worker):
                if taken == most:
                    break
                self.expired.add(claim)
                held = self.claims.pop(claim)
                self.ready[held.step].append(replace(held, worker=worker))
                taken += 1
            if not self._claims_of(worker):
                del self.leases[worker]
        return taken

    def enlist(self, worker: str, epoch: int, known: Sequence[str]) -> Any:
        present = self.epochs.get(worker)
        if present is not None and present > epoch:
            return FENCED
        self.epochs[worker] = epoch
        self.doubts.pop(worker, None)
        self.leases[worker] = self.now_ms + self.options.lease_ms
        still = {claim for claim in known if claim in self.claims}
        unknown = [claim for claim in self._claims_of(worker) if claim not in still]
        for claim in unknown:
            held = self.claims.pop(claim)
            self.ready[held.step].append(replace(held, deliveries=held.deliveries - 1))
        return [self.now_ms, int(present is not None), len(unknown), still]

    def leave(self, worker: str, epoch: int) -> Any:
        if self.epochs.get(worker) != epoch:
            return FENCED
        back = self._claims_of(worker)
        for claim in back:
            held = self.claims.pop(claim)
            self.ready[held.step].append(replace(held, deliveries=held.deliveries - 1))
        self.leases.pop(worker, None)
        del self.epochs[worker]
        self.doubts.pop(worker, None)
        return [self.now_ms, len(back)]

    def take_turn(self, interval_us: int, given_ms: int) -> int | None:
        now_us = self.now_ms * 1000
        if given_ms > 0 and now_us - given_ms * 1000 <= max(interval_us, 1_000_000):
            return None
        turn_us = max(now_us, self.next_turn_us)
        self.next_turn_us = turn_us + interval_us
        return None if turn_us <= now_us else math.ceil(turn_us / 1000)

    def _claims_of(self, worker: str) -> list[str]:
        """The last claimed first, so that the first claimed ends up at the head."""
        owned = (claim for claim in self.claims if owner_of(claim) == worker)
        return sorted(owned, key=number_of, reverse=True)

    def _delay(self, due_ms: int, message: Message, head: str = "") -> None:
        """`head` is how its record begins, where others may be due at the same time."""
        at = bisect(self._heads, (due_ms, head))
        self._heads.insert(at, (due_ms, head))
        self.delayed.insert(at, (due_ms, message))

    def _bury(self, message: Message, kind: str, reason: str) -> None:
        self.dead[Letter(replace(message, turn=0), kind, reason)] += 1
