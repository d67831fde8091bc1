"""Records of other versions: a rolling upgrade has workers of two versions on one lane.

The rule: later versions only append. Fields may follow behind those of version 1, in a note, in a
record's head line, in the head of a dead letter; what reads them passes over what it does not know.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import redis

from laneway.tasks.broker import keys, scripting
from laneway.tasks.broker.commands import Commands, HoldOptions
from laneway.tasks.broker.dead_letter_actions import Action, read_actions, replay
from laneway.tasks.broker.dead_letters import iterate, read_dead_letter
from laneway.tasks.broker.ledger import Claim, Ledger, Settlement
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LANE = "documents"
LEASE_MS = 60_000
TASK = b'{"body": "x", "headers": {"id": "%d"}}'
NO_OBJECT = b"no JSON at all"

LATER = [
    ("VERSION = 1", "VERSION = 2"),
    # Of notes and of records, each in `string.format`: one more field behind the known ones.
    ("%.0f,%d],'", '%.0f,%d,7,"later"],\''),
    ("%s %s %.0f\\n'", "%s %s %.0f 7 later\\n'"),
    ("version = VERSION,", "version = VERSION, later = {7, 'later'},"),
]


class Hand:
    """A worker's commands, one at a time, by this version's scripts or by a later one's."""

    def __init__(self, client: "redis.Redis", name: str, *, later: bool = False) -> None:
        options = HoldOptions(lane=LANE, worker=name, lease_ms=LEASE_MS, max_deliveries=10)
        self._client, self._later = client, later
        self.ledger = Ledger(name)
        self._commands = Commands(options, self.ledger)
        self._do("enlist", self._commands.enlist(self.ledger.begin_epoch()))

    def _do(self, name: str, command: Sequence[Any]) -> Any:
        source = scripting.script(name).source
        if self._later:
            for old, new in LATER:
                assert old in source, "the scripts have changed: so must this test"
                source = source.replace(old, new)
        return self._client.eval(source, *command[2:])

    def claim(self, room: int = 100) -> list[Claim]:
        _, claimed, _ = self._do("claim", self._commands.claim(room))
        return self.ledger.take(zip(*(claimed[at::4] for at in range(4)), strict=True))

    def settle(self, verb: Any, claim: Claim, argument: str = "") -> None:
        settlement = Settlement(verb, claim.id, argument)
        assert self.ledger.settle(settlement)
        self.ledger.send_settlements(1)
        assert self._do("settle", self._commands.settle([settlement]))[1] == 0
        self.ledger.answered([claim.id])

    def ack(self, *claims: Claim) -> None:
        for claim in claims:
            assert self.ledger.ack(claim.id)
        acks = self.ledger.send_acks(100)
        self._do("claim", self._commands.claim(0, acks))
        self.ledger.answered(acks)

    def tend(self) -> Any:
        return self._do("tend", self._commands.tend())

    def leave(self) -> None:
        self._do("leave", self._commands.leave())

    def die(self) -> None:
        """Its lease runs out."""
        self._client.zadd(keys.leases(LANE), {self.ledger.worker: 1})


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.admin_url) as connected:
        yield connected


@pytest.fixture
def worker(client: "redis.Redis") -> Hand:
    return Hand(client, "present")


def note(version: int, message: bytes, later: bytes = b"", *, is_object: int = 1) -> bytes:
    head = b'{"laneway":[%d,2,"gone-1",0,%d%b],' % (version, is_object, later)
    return head + (message.removeprefix(b"{") if is_object else message)


def record(version: int, later: bytes = b"", *, step: int = 1, turn: int = 0) -> bytes:
    return b"%d 2 %d tag gone-1 %d%b\n" % (version, step, turn, later) + TASK % 1


# What this version reads

LATER_NOTES = [b"", b",7", b',7,"later",null,{"a":1}', b"," + b"9" * 5_000]
LATER_HEADS = [b"", b" 7", b' 7 later {"a":1} \xff', b" " + b"9" * 5_000]


@pytest.mark.parametrize("version", [1, 2, 99])
@pytest.mark.parametrize("later", LATER_NOTES)
@pytest.mark.parametrize(("message", "is_object"), [(TASK % 1, 1), (NO_OBJECT, 0)])
def test_a_note_is_read_and_taken_off(client, worker, version, later, message, is_object) -> None:
    client.lpush(LANE, note(version, message, later, is_object=is_object))
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries) == (message, 3)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("later", LATER_HEADS)
def test_a_dead_workers_claim_is_taken_back(client, worker, version, later) -> None:
    client.hset(keys.claims(LANE), "gone-1/7", record(version, later))
    client.zadd(keys.leases(LANE), {"gone-1": 1})
    assert worker.tend()[2] == 1
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries) == (TASK % 1, 3)


@pytest.mark.parametrize("later", LATER_HEADS)
def test_a_claim_of_nobody_is_taken_back_by_who_comes_next(client, later) -> None:
    client.hset(keys.claims(LANE), "gone-1/7", record(2, later))
    (claim,) = Hand(client, "next").claim()
    assert (claim.message, claim.deliveries) == (TASK % 1, 3)


@pytest.mark.parametrize("later", LATER_HEADS)
@pytest.mark.parametrize(("step", "turn"), [(1, 0), (3, 0), (1, 1_700_000_000_000)])
def test_a_delayed_record_becomes_due(client, worker, later, step, turn) -> None:
    client.zadd(keys.delayed(LANE), {record(2, later, step=step, turn=turn): 1})
    assert worker.tend()[1] == 1
    assert client.llen(keys.ready_lists(LANE)[step - 1]) == 1
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries, claim.turn_ms) == (TASK % 1, 3, turn)


@pytest.mark.parametrize("place", ["delayed", "claim of the dead", "claim of nobody"])
def test_a_list_that_only_a_later_version_knows_is_the_plain_one_here(client, place) -> None:
    """Or one of sub-lists that this worker does not serve, as in a Redis Cluster."""
    worker = Hand(client, "present")
    if place == "delayed":
        client.zadd(keys.delayed(LANE), {record(2, step=7): 1})
    else:
        client.hset(keys.claims(LANE), "gone-1/7", record(2, step=7))
    if place == "claim of the dead":
        client.zadd(keys.leases(LANE), {"gone-1": 1})
    if place == "claim of nobody":
        worker = Hand(client, "next")
    else:
        worker.tend()
    (claim,) = worker.claim()
    assert claim.message == TASK % 1
    worker.settle("head", claim)
    assert [again.message for again in worker.claim()] == [TASK % 1]


@pytest.mark.parametrize(
    "changed",
    [
        b'{"laneway":{"version":3,"deliveries":2},"body": "x"}',
        json.dumps(json.loads(note(1, TASK % 1))).encode(),
    ],
    ids=["known fields changed", "written anew by stock kombu, which restores it"],
)
def test_a_note_that_is_none_to_this_version_stays_with_the_message(
    client, worker, changed: bytes
) -> None:
    """The message still runs, and its deliveries are counted anew."""
    client.lpush(LANE, changed)
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries) == (changed, 1)
    worker.settle("again", claim)
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries) == (changed, 2)


def test_dead_letters_of_a_later_version_are_read_replayed_and_logged(client, worker) -> None:
    later = Hand(client, "later", later=True)
    client.lpush(LANE, TASK % 1, TASK % 2)
    for claim in later.claim():
        later.settle("bury", claim, "kind\nreason")
    letters = list(iterate(client, LANE))
    assert [(letter.kind, letter.reason) for letter in letters] == [("kind", "reason")] * 2
    assert read_dead_letter(client, LANE, letters[0].id) == letters[0]
    action = Action("replay", by="ann", via="shell", why="mended", chosen="one")
    assert replay(client, LANE, [letters[0].id], action) == [letters[0].id]
    (claim,) = worker.claim()
    assert (claim.message, claim.deliveries) == (letters[0].message, 1)
    head, _, entry = client.lindex(keys.dead_log(LANE), 0).decode().partition("\n")
    later_entry = f"2{head[1:]} 7 later\n" + json.dumps({**json.loads(entry), "later": 7})
    client.lset(keys.dead_log(LANE), 0, later_entry)
    (told,) = read_actions(client, LANE)
    assert (told.verb, told.count, told.by, told.why) == ("replay", 1, "ann", "mended")


# Both versions on one lane


@pytest.mark.parametrize("way", ["head", "tail", "again", "park", "death", "leave"])
@pytest.mark.parametrize("later_first", [False, True])
def test_what_one_version_gives_back_the_other_runs(client, way: str, later_first: bool) -> None:
    first = Hand(client, "first", later=later_first)
    second = Hand(client, "second", later=not later_first)
    sent = [TASK % n for n in range(5)]
    client.lpush(LANE, *sent)
    held = first.claim()
    assert [claim.message for claim in held] == sent
    if way == "death":
        first.die()
    elif way == "leave":
        first.leave()
    else:
        for claim in held:
            first.settle(way, claim, "1" if way == "park" else "")
    second.tend()
    found = second.claim()
    assert sorted(claim.message for claim in found) == sorted(sent)
    counted = 2 if way in {"again", "tail", "death"} else 1
    assert {claim.deliveries for claim in found} == {counted}
    second.ack(*found)
    assert client.hlen(keys.claims(LANE)) == client.llen(LANE) == 0


def test_a_lane_that_goes_to_and_fro_between_versions_counts_and_loses_nothing(client) -> None:
    sent = [TASK % n for n in range(3)]
    client.lpush(LANE, *sent)
    for delivery in range(1, 9):
        worker = Hand(client, f"worker-{delivery}", later=delivery % 2 == 0)
        worker.tend()
        held = worker.claim()
        assert [claim.message for claim in held] == sent
        assert {claim.deliveries for claim in held} == {delivery}
        worker.die()
    last = Hand(client, "last")
    last.tend()
    assert [claim.message for claim in last.claim()] == sent


def test_a_worker_that_was_upgraded_takes_back_what_it_held(client) -> None:
    """The same name again: what its former self held and it does not know goes back unrun."""
    before = Hand(client, "same")
    client.lpush(LANE, TASK % 1)
    assert before.claim()
    after = Hand(client, "same", later=True)
    (claim,) = after.claim()
    assert (claim.message, claim.deliveries) == (TASK % 1, 1)
