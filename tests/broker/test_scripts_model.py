"""The scripts against a model: any order of workers, faults and clocks, compared after every step.

A longer run: `pytest tests/broker/test_scripts_model.py --hypothesis-profile=thorough`. The profile
stands in `tests/conftest.py`.
"""

from functools import partial
from typing import Any, Literal

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from broker.any_messages import ENTRIES, HEADS, JSON, LIMIT_BYTES
from broker.lane_model import FENCED, Lane, LaneModel, owner_of, read_lane
from broker.steered_redis import SteeredRedis
from laneway.tasks.broker import commands, keys
from laneway.tasks.broker.commands import Commands, HoldOptions
from laneway.tasks.broker.ledger import Claim, Ledger, Settlement
from laneway.tasks.broker.rate_limit import take_turn
from laneway.tasks.broker.transport import delayed_record
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LANE = "documents"
LEASE_MS = 55_000
STEP_MS = 10_000
"""Steps of the clock. Leases end between two of them, due times just after one."""

MOST = 3
"""Messages that one `tend` moves, so few that it often leaves some for the next."""

RATE_PER_S = 1 / 20
SHORT_EXAMPLES = 60
"""Without a profile of its own, a run takes seconds."""

Fate = Literal["answered", "answer lost", "command lost", "command late"]
FATES = st.sampled_from(["answered"] * 5 + ["answer lost", "command lost", "command late"])
STEPS = st.sampled_from([1, 1, 1, 2, 3, 4])
WORKERS = st.integers(0, 2)
FEW = st.integers(1, 4)


class Worker:
    """A worker's books and commands, and what of it is under way for too long."""

    def __init__(self, name: str) -> None:
        self.ledger = Ledger(name)
        self.options = HoldOptions(
            lane=LANE, worker=name, lease_ms=LEASE_MS, message_limit_bytes=LIMIT_BYTES
        )
        self.commands = Commands(self.options, self.ledger)
        self.connected = False
        self.under_way: list[tuple[Any, Any]] = []
        """Commands that arrive late, each with what the model does then."""


class LaneMachine(RuleBasedStateMachine):
    """Workers of one lane, each with a link that may break at any moment."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__()
        client.flushdb()
        self.client = client
        self.redis = SteeredRedis(client)
        self.sound = True
        self.names = 0
        self.parks = 0
        self.workers = [self.new_worker() for _ in range(3)]
        self.model = LaneModel(self.workers[0].options)
        self.redis.set_clock(self.model.now_ms)

    def new_worker(self) -> Worker:
        self.names += 1
        return Worker(f"w.{self.names}-x@host")

    @initialize()
    def begin(self) -> None:
        for number in range(3):
            self.enlist(number, "answered")

    # Producers

    @rule(entries=st.lists(ENTRIES, min_size=1, max_size=4), step=STEPS)
    def publish(self, entries: list[bytes], step: int) -> None:
        name = keys.ready_lists(LANE)[step - 1]
        for entry in entries:
            self.client.lpush(name, entry)
            self.model.publish(entry, step)

    @rule(message=JSON, step=STEPS, steps=st.integers(-1, 4))
    def publish_delayed(self, message: str, step: int, steps: int) -> None:
        due_ms = self.due_ms(steps)
        record = delayed_record(message, keys.PRIORITY_STEPS[step - 1]).encode()
        self.client.zadd(keys.delayed(LANE), {record: due_ms})
        self.model.publish_delayed(record, due_ms)

    @rule(record=st.one_of(st.binary(max_size=8), HEADS), steps=st.integers(0, 4))
    def publish_garbage_delayed(self, record: bytes, steps: int) -> None:
        due_ms = self.due_ms(steps)
        if self.client.zadd(keys.delayed(LANE), {record: due_ms}, nx=True):
            self.model.publish_delayed(record, due_ms)

    def due_ms(self, steps: int) -> int:
        """A due time that no other message has."""
        self.parks += 1
        return self.model.now_ms + steps * STEP_MS + self.parks

    # Time

    @rule(steps=st.integers(1, 7))
    def later(self, steps: int) -> None:
        self.move_clock(steps * STEP_MS)

    @rule(steps=st.integers(1, 2))
    def clock_set_back(self, steps: int) -> None:
        self.move_clock(-steps * STEP_MS)

    def move_clock(self, ms: int) -> None:
        self.model.now_ms += ms
        self.redis.set_clock(self.model.now_ms)

    # A worker's commands. `of` says what becomes of one; the model does what Redis ought to.

    def tell(self, worker: Worker, command: Any, ought: Any, fate: Fate) -> Any:
        """The answer as it reached the worker; None if none came."""
        if fate == "command late":
            worker.under_way.append((command, ought))
        if fate in {"command late", "command lost"}:
            worker.connected = False
            return None
        answer = self.execute(command, ought)
        if fate == "answer lost" or answer == FENCED:
            worker.connected = False
            return None
        return answer

    def execute(self, command: Any, ought: Any) -> Any:
        self.sound = False
        answer = self.redis.run(command)
        assert _without_ids(answer) == ought()
        self.sound = True
        return answer

    def connected(self, number: int) -> Worker | None:
        worker = self.workers[number]
        return worker if worker.connected else None

    @rule(number=WORKERS, room=FEW, fate=FATES, awaited=st.booleans(), told=st.booleans())
    def claim(self, number: int, room: int, fate: Fate, awaited: bool, told: bool) -> None:
        worker = self.connected(number)
        if worker is None:
            return
        ledger = worker.ledger
        acks = ledger.send_acks(2) if told else []
        if awaited:
            self.wake(worker)
        self.send_claim(worker, room, acks, fate)

    @rule(number=WORKERS, most=FEW, fate=FATES)
    def acknowledge(self, number: int, most: int, fate: Fate) -> None:
        worker = self.connected(number)
        if worker is not None and worker.ledger.acks:
            self.send_claim(worker, 0, worker.ledger.send_acks(most), fate)

    @rule(number=WORKERS)
    def wake_and_die(self, number: int) -> None:
        """A wake-up whose claim never came: the message lies in the intake."""
        if self.connected(number) is not None:
            self.wake(self.workers[number])

    def wake(self, worker: Worker) -> None:
        command = worker.commands.wait(0)
        if self.model.ready[1]:
            assert command[0] == "BLMOVE"
            assert self.client.execute_command(*command) is not None
            self.model.wake()

    def send_claim(self, worker: Worker, room: int, acks: list[str], fate: Fate) -> None:
        ledger, name, epoch, before = worker.ledger, worker.options.worker, 0, 0
        epoch, before = ledger.epoch, ledger.number
        ought = partial(self.model.claim, name, epoch, room, before, ledger.worst, acks)
        answer = self.tell(worker, worker.commands.claim(room, acks), ought, fate)
        if answer is None:
            return
        ledger.answered(acks)
        found = answer[1]
        for claim in ledger.take(zip(*(found[at::4] for at in range(4)), strict=True)):
            self.check_turn(worker, claim)

    def check_turn(self, worker: Worker, claim: Claim) -> None:
        """Messages of some kind have a rate limit."""
        if not claim.message.startswith(b'{"body":"a'):
            return
        interval_us = round(1_000_000 / RATE_PER_S)
        expected = self.model.take_turn(interval_us, claim.turn_ms)
        turn_ms = take_turn(self.redis, "limited", RATE_PER_S, claim.turn_ms)
        assert turn_ms == expected
        if turn_ms is not None:
            self.parks += 1
            due_ms = turn_ms + self.parks  # no two are due at once
            assert worker.ledger.settle(Settlement("turn", claim.id, str(due_ms)))

    @rule(
        number=WORKERS,
        which=st.integers(0, 20),
        verb=st.sampled_from(["ack", "ack", "head", "tail", "again", "park", "bury"]),
        steps=st.integers(-1, 4),
        reason=st.text(st.characters(max_codepoint=127), max_size=4),
    )
    def end(self, number: int, which: int, verb: Any, steps: int, reason: str) -> None:
        """A task ends, whether its worker is connected or not."""
        ledger = self.workers[number].ledger
        if not ledger.held:
            return
        claim = sorted(ledger.held)[which % len(ledger.held)]
        if verb == "ack":
            assert ledger.ack(claim)
            return
        argument = {"park": str(self.due_ms(steps)), "bury": f"final failure\n{reason}"}.get(
            verb, ""
        )
        assert ledger.settle(Settlement(verb, claim, argument))

    @rule(number=WORKERS, most=FEW, fate=FATES)
    def settle(self, number: int, most: int, fate: Fate) -> None:
        worker = self.connected(number)
        if worker is None or not worker.ledger.settlements:
            return
        sent = worker.ledger.send_settlements(most)
        ought = partial(self.model.settle, worker.options.worker, worker.ledger.epoch, sent)
        if self.tell(worker, worker.commands.settle(sent), ought, fate) is not None:
            worker.ledger.answered(end.claim for end in sent)

    @rule(number=WORKERS, fate=FATES, ago_ms=st.sampled_from([None, 0, 2_000, 2_001, -STEP_MS]))
    def tend(self, number: int, fate: Fate, ago_ms: int | None) -> None:
        worker = self.connected(number)
        if worker is None:
            return
        asked_ms = None if ago_ms is None else self.model.now_ms - ago_ms
        self.send_tend(worker, asked_ms, fate)

    @rule(number=WORKERS)
    def tend_calling_nobody_gone(self, number: int) -> None:
        if self.connected(number) is not None:
            self.send_tend(self.workers[number], 0, "answered")

    def send_tend(self, worker: Worker, asked_ms: int | None, fate: Fate) -> None:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(commands, "MOST_AT_ONCE", MOST)
            command = worker.commands.tend(asked_ms)
        name, epoch = worker.options.worker, worker.ledger.epoch
        self.tell(worker, command, partial(self.model.tend, name, epoch, MOST, asked_ms), fate)

    @rule()
    def tend_without_worker(self) -> None:
        """As a process does that looks after a lane without workers."""
        self.send_tend(Worker(""), None, "answered")

    @rule(number=WORKERS, fate=FATES)
    def enlist(self, number: int, fate: Fate) -> None:
        worker = self.workers[number]
        ledger = worker.ledger
        known = ledger.begin_epoch()
        ought = partial(self.model.enlist, worker.options.worker, ledger.epoch, known)
        answer = self.tell(worker, worker.commands.enlist(known), ought, fate)
        if answer is None:
            return
        worker.connected = True
        _, had_lease, _, still = answer
        before = {*ledger.held}
        settled = ledger.reconcile((c.decode() for c in still), kept_lease=bool(had_lease))
        lost = {claim.id for claim in settled.lost}
        assert lost == {claim for claim in before if claim not in self.model.claims}
        assert lost <= self.model.expired, "a claim was taken from a worker whose lease held"

    @rule(number=WORKERS, fate=FATES)
    def leave(self, number: int, fate: Fate) -> None:
        """A worker ends well; another comes in its place."""
        worker = self.connected(number)
        if worker is None:
            return
        ought = partial(self.model.leave, worker.options.worker, worker.ledger.epoch)
        self.tell(worker, worker.commands.leave(), ought, fate)
        self.replace(number)

    @rule(number=WORKERS)
    def die(self, number: int) -> None:
        self.replace(number)

    def replace(self, number: int) -> None:
        under_way = self.workers[number].under_way
        self.workers[number] = self.new_worker()
        self.workers[number].under_way = under_way

    @precondition(lambda self: any(w.under_way for w in self.workers))
    @rule(which=st.integers(0, 20))
    def arrive_late(self, which: int) -> None:
        """A command arrives after its connection was given up for lost."""
        late = [(worker, at) for worker in self.workers for at in range(len(worker.under_way))]
        worker, at = late[which % len(late)]
        self.execute(*worker.under_way.pop(at))

    # What holds after every step

    @invariant()
    def redis_is_as_the_model(self) -> None:
        self.sound = False
        found = read_lane(self.client, LANE)
        assert found == self.model.places()
        self.nothing_is_lost_or_doubled(found)
        self.claims_have_leases(found)
        self.sound = True

    def nothing_is_lost_or_doubled(self, found: Lane) -> None:
        assert found.raws() + self.model.acked == self.model.published

    def claims_have_leases(self, found: Lane) -> None:
        assert {owner_of(claim) for claim in found.claims} <= found.leases.keys()
        assert found.epochs.keys() <= found.leases.keys()

    @invariant()
    def who_holds_a_claim_knows_it(self) -> None:
        for worker in self.workers:
            for claim in worker.ledger.held.values():
                held = self.model.claims.get(claim.id)
                if held is None:
                    assert claim.id in self.model.expired
                else:
                    assert (held.raw, held.deliveries) == (claim.message, claim.deliveries)

    def teardown(self) -> None:
        """In the end everything can be had: nothing is stuck in a place that nobody looks at."""
        if not self.sound:
            return
        for number in range(3):
            self.replace(number)
        self.enlist(0, "answered")
        worker = self.workers[0]
        # The clock may have been set back: what was promised for then lies far ahead.
        self.move_clock(1_000 * STEP_MS)
        while self.work_is_left(worker):
            self.send_tend(worker, None, "answered")
            self.send_claim(worker, 4, worker.ledger.send_acks(4), "answered")
            for claim in list(worker.ledger.held):
                assert worker.ledger.ack(claim)
            while worker.ledger.settlements:
                self.settle(0, 4, "answered")
            self.move_clock(STEP_MS)
        self.redis_is_as_the_model()

    def work_is_left(self, worker: Worker) -> bool:
        model = self.model
        waits = [model.intake, model.delayed, *model.ready.values(), model.claims]
        return any(waits) or model.leases.keys() != {worker.options.worker}


def _without_ids(answer: Any) -> Any:
    """Dead letters' ids are nobody's to foresee; claims still held come in no order."""
    match answer:
        case [now_ms, claimed, list() as buried]:
            return [now_ms, claimed, [part for at, part in enumerate(buried) if at % 3]]
        case [*begin, list() as still] if len(begin) == 3:
            return [*begin, {claim.decode() for claim in still}]
    return answer


@pytest.mark.timeout(3_600)
def test_scripts_do_as_the_model(redis_server: RedisServer) -> None:
    profile = settings.get_profile(settings.get_current_profile_name())
    short = profile.max_examples <= 100
    with redis.Redis.from_url(redis_server.admin_url) as client:
        run_state_machine_as_test(
            partial(LaneMachine, client),
            settings=settings(
                profile,
                max_examples=SHORT_EXAMPLES if short else profile.max_examples,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
