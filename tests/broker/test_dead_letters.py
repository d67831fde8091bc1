"""The dead letters of a lane on a real Redis: how they come, stay, are found, and go."""

import json
from itertools import islice

import pytest

from lane_holder import LaneHolder, envelope, lane_holder
from laneway.tasks.broker import dead_letter_actions as actions
from laneway.tasks.broker import dead_letters, keys
from laneway.tasks.broker.client import connect
from laneway.tasks.broker.dead_letter_actions import Action, Pace, read_actions
from laneway.tasks.broker.dead_letters import Filter, Order, iterate, prune, read_dead_letter
from laneway.tasks.queues import DeadLetterRetention
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LANE = "reports"
GARBAGE = [
    b"",
    b"\n",
    b"\x00\xff\n\xfe{",
    b'{"headers": {"task": "\\ud800", "id": 5}}',
    bytes(range(256)) * 8,
    b'{"laneway":[1,2,"w w",0,1],"a":1}',
    b'{"laneway":[1,99999999999999999999,"w",0,0],x',
]


@pytest.fixture
def holder(redis_server: RedisServer):
    with lane_holder(redis_server, LANE) as holder:
        yield holder


@pytest.fixture
def client(redis_server: RedisServer):
    """As the doors have it: its answers are text."""
    with connect(redis_server.url, 5.0) as client:
        yield client


def action(verb: str = "replay", why: str = "mended") -> Action:
    return Action(verb, by="ann", via="cli", why=why, chosen="all")


def ids(client, **wanted) -> list[str]:
    return [letter.id for letter in iterate(client, LANE, Filter(**wanted))]


def age(holder: LaneHolder, letter: str, by_ms: int) -> None:
    """Let a dead letter have died earlier."""
    names = keys.dead_letters(LANE), keys.dead_records(LANE)
    at_ms = holder.client.zadd(names[0], {letter: -by_ms}, xx=True, incr=True)
    record = holder.client.hget(names[1], letter)
    if record is not None:
        head, _, message = record.partition(b"\n")
        head = json.dumps({**json.loads(head), "died_at_ms": at_ms}).encode()
        holder.client.hset(names[1], letter, head + b"\n" + message)


def counts(client) -> tuple[int, int]:
    return client.zcard(keys.dead_letters(LANE)), client.hlen(keys.dead_records(LANE))


def test_a_buried_message_says_what_why_and_who(holder: LaneHolder, client) -> None:
    letter = holder.bury(envelope("reports.render", "t-1"), "invalid task", "no id")
    found = read_dead_letter(client, LANE, letter)
    assert (found.kind, found.reason, found.worker, found.deliveries) == (
        "invalid task",
        "no id",
        "w1",
        1,
    )
    assert (found.task, found.task_id) == ("reports.render", "t-1")
    assert found.died_at_s == pytest.approx(client.time()[0], abs=60)
    assert read_dead_letter(client, LANE, "nobody") is None


@pytest.mark.parametrize("message", GARBAGE)
def test_any_bytes_are_kept_and_come_back_as_they_were(holder, client, message: bytes) -> None:
    letter = holder.bury(message)
    assert read_dead_letter(client, LANE, letter).message == message
    assert [found.message for found in iterate(client, LANE)] == [message]
    assert actions.replay(client, LANE, [letter], action()) == [letter]
    (claim,) = holder.claim()
    assert (claim.message, claim.deliveries) == (message, 1)


def test_what_its_worker_was_lost_over_too_often_dies_at_its_next_claim(
    redis_server: RedisServer, client
) -> None:
    with lane_holder(redis_server, LANE, max_deliveries=2) as holder:
        holder.send(envelope(task_id="t"))
        for _ in range(2):
            (claim,) = holder.claim()
            holder.settle("again", claim)
        assert holder.claim() == []
    (found,) = iterate(client, LANE)
    assert (found.kind, found.deliveries, found.task_id) == ("delivery limit", 2, "t")
    assert found.message == envelope(task_id="t")


def test_a_message_too_large_is_kept_whole(redis_server: RedisServer, client) -> None:
    with lane_holder(redis_server, LANE, message_limit_bytes=1_000) as holder:
        holder.send(b"x" * 1_001)
        assert holder.claim() == []
    (found,) = iterate(client, LANE)
    assert (found.kind, found.size_bytes, found.message) == ("too large", 1_001, b"x" * 1_001)


def test_of_a_message_larger_than_asked_for_only_the_head_is_read(holder, client) -> None:
    small, large = holder.bury(envelope()), holder.bury(envelope(body="x" * 9_000))
    found = {f.id: f for f in iterate(client, LANE, order=Order(most_bytes=5_000))}
    assert found[small].message == envelope()
    assert (found[large].message, found[large].task, found[large].kind) == (
        None,
        None,
        "unknown task",
    )
    assert found[large].size_bytes == len(envelope(body="x" * 9_000))
    assert read_dead_letter(client, LANE, large, most_bytes=10).whole()["encoding"] is None


def test_the_youngest_come_first_unless_asked_otherwise(holder, client) -> None:
    letters = [holder.bury(envelope(task_id=str(number))) for number in range(3)]
    for number, letter in enumerate(letters):
        age(holder, letter, by_ms=1_000 * (3 - number))
    assert ids(client) == letters[::-1]
    oldest = iterate(client, LANE, order=Order(oldest_first=True))
    assert [letter.id for letter in oldest] == letters


@pytest.mark.parametrize("oldest_first", [True, False])
def test_none_is_missed_or_told_twice_across_pages(
    holder, client, monkeypatch, oldest_first: bool
) -> None:
    """Many die in one millisecond, and some go while others are read."""
    monkeypatch.setattr(dead_letters, "PAGE", 4)
    letters = [holder.bury(envelope(task_id=str(number))) for number in range(25)]
    for number, letter in enumerate(letters):
        age(holder, letter, by_ms=int(client.zscore(keys.dead_letters(LANE), letter)) - number // 7)
    found = []
    for letter in iterate(client, LANE, order=Order(oldest_first=oldest_first)):
        found.append(letter)
        actions.discard(client, LANE, [letter.id], action("discard"))
    assert sorted(letter.id for letter in found) == sorted(letters)
    died_at = [letter.died_at_s for letter in found]
    assert died_at == sorted(died_at, reverse=not oldest_first)
    assert counts(client) == (0, 0)


def test_reading_is_bounded_in_bytes_and_keeps_the_order(holder, client, monkeypatch) -> None:
    monkeypatch.setattr(dead_letters, "READ_BYTES", 1_000)
    letters = [holder.bury(envelope(body="x" * size)) for size in (10, 2_000, 700, 700, 10, 5_000)]
    for number, letter in enumerate(letters):
        age(holder, letter, by_ms=1_000 * (9 - number))
    found = iterate(client, LANE, order=Order(oldest_first=True, most_bytes=4_000))
    assert [(letter.id, letter.message is None) for letter in found] == [
        (letter, letter == letters[-1]) for letter in letters
    ]


def test_a_filter_lets_through_what_it_names(holder, client) -> None:
    old = holder.bury(envelope("a.b"), "invalid task")
    young = holder.bury(envelope("a.c"), "unknown task")
    nameless = holder.bury(b"garbage", "malformed envelope")
    age(holder, old, by_ms=3_600_000)
    died = {
        letter: client.zscore(keys.dead_letters(LANE), letter) / 1000 for letter in (old, young)
    }

    assert ids(client, kind="invalid task") == [old]
    assert ids(client, task="a.c") == [young]
    assert ids(client, kind="unknown task", task="a.b") == []
    assert ids(client, before_s=died[young] - 60) == [old]
    assert set(ids(client, after_s=died[young] - 60)) == {young, nameless}
    assert ids(client, after_s=died[old], before_s=died[young] - 60) == [old]
    assert ids(client, before_s=died[old]) == []
    assert list(dead_letters.iterate_ids(client, LANE, Filter(task="a.b"))) == [old]
    assert set(dead_letters.iterate_ids(client, LANE)) == {old, young, nameless}


def test_what_dies_while_others_are_read_is_not_among_them(holder, client) -> None:
    """Else replaying what dies again at once would never end."""
    client.zadd(keys.dead_letters(LANE), {holder.bury(envelope()): (client.time()[0] + 60) * 1000})
    letter = holder.bury(envelope())
    assert ids(client) == [letter]
    assert ids(client, before_s=client.time()[0] + 3_600) == [letter]


def test_the_oldest_go_when_there_are_too_many(redis_server: RedisServer, client) -> None:
    with lane_holder(redis_server, LANE, dead_kept=2) as holder:
        letters = []
        for number in range(4):
            letters.append(holder.bury(envelope(task_id=str(number))))
            for earlier in letters:
                age(holder, earlier, by_ms=10)
    assert ids(client) == letters[:1:-1]
    assert counts(client) == (2, 2)


def test_the_too_old_go_when_another_comes(redis_server: RedisServer, client) -> None:
    with lane_holder(redis_server, LANE, dead_kept_ms=60_000) as holder:
        age(holder, holder.bury(envelope()), by_ms=61_000)
        young = holder.bury(envelope())
    assert ids(client) == [young]
    assert counts(client) == (1, 1)


def test_what_claims_bury_is_kept_by_count_as_well(redis_server: RedisServer, client) -> None:
    with lane_holder(redis_server, LANE, dead_kept=3, message_limit_bytes=1_000) as holder:
        for _ in range(10):
            holder.send(b"x" * 2_000)
        assert holder.claim() == []
    assert counts(client) == (3, 3)


def test_pruning_takes_the_too_old_and_the_too_many_by_and_by(holder, client, monkeypatch) -> None:
    monkeypatch.setattr(dead_letters, "PRUNED", 4)
    for number in range(6):
        age(holder, holder.bury(envelope(task_id=str(number))), by_ms=100_000)
    kept = [holder.bury(envelope()) for _ in range(5)]
    by_age = DeadLetterRetention(seconds=60)
    assert [prune(client, LANE, by_age) for _ in range(3)] == [4, 2, 0]
    assert set(ids(client)) == set(kept)
    assert prune(client, LANE, DeadLetterRetention(count=2)) == 3
    assert counts(client) == (2, 2)


def test_a_replayed_message_is_as_if_just_sent(holder, client) -> None:
    """On the list of its priority, behind what is there, its deliveries forgotten."""
    holder.send(b"first in line", step=3)
    low = holder.client.rpop(keys.ready_lists(LANE)[2])
    letter = holder.bury(envelope(), step=3)
    holder.send(low, step=3)

    assert actions.replay(client, LANE, [letter, "nobody", letter], action()) == [letter]

    assert holder.client.lrange(keys.ready_lists(LANE)[2], 0, -1) == [envelope(), low]
    assert counts(client) == (0, 0)
    assert [(claim.message, claim.deliveries) for claim in holder.claim()] == [
        (low, 1),
        (envelope(), 1),
    ]


def test_replayed_at_a_pace_each_message_waits_for_its_time(holder, client) -> None:
    letters = [holder.bury(envelope(task_id=str(number)), step=2) for number in range(3)]
    now = dead_letters.now_ms(client)
    pace = Pace(now + 60_000, 500.0)
    actions.replay(client, LANE, letters[:2], action(), pace)
    actions.replay(client, LANE, letters[2:], action(), pace.after(2))

    due = client.zrange(keys.delayed(LANE), 0, -1, withscores=True)
    assert [at_ms - now for _, at_ms in due] == [60_000, 60_500, 61_000]
    assert holder.claim() == []
    for record, _ in due:
        client.zadd(keys.delayed(LANE), {record: now - 1})
    holder.tend()
    claims = holder.claim()
    assert {claim.message for claim in claims} == {envelope(task_id=str(n)) for n in range(3)}
    assert {claim.deliveries for claim in claims} == {1}


def test_a_discarded_letter_is_gone(holder, client) -> None:
    gone, kept = holder.bury(envelope()), holder.bury(envelope())
    assert actions.discard(client, LANE, [gone, "nobody"], action("discard")) == [gone]
    assert ids(client) == [kept]
    assert counts(client) == (1, 1)


def test_the_log_tells_who_and_why_the_latest_first(holder, client) -> None:
    letters = [holder.bury(envelope()) for _ in range(4)]
    in_two_steps = action("replay", why="the bug is mended: æøå")
    actions.replay(client, LANE, letters[:2], in_two_steps)
    actions.discard(client, LANE, letters[2:3], action("discard"))
    actions.replay(client, LANE, letters[3:], in_two_steps)
    actions.discard(client, LANE, ["nobody"], action("discard", why="changes nothing"))

    told = read_actions(client, LANE)
    assert [(one.verb, one.count, one.by, one.via, one.why) for one in told] == [
        ("replay", 3, "ann", "cli", "the bug is mended: æøå"),
        ("discard", 1, "ann", "cli", "mended"),
    ]
    assert told[0].at_s == pytest.approx(client.time()[0], abs=60)
    assert len(read_actions(client, LANE, limit=1)) == 1


def test_the_log_keeps_the_latest(holder, client, monkeypatch) -> None:
    monkeypatch.setattr(actions, "LOG_KEPT", 3)
    for number in range(5):
        actions.log_action(client, LANE, action("export", why=str(number)))
        actions.discard(client, LANE, [holder.bury(envelope())], action("discard", why=str(number)))
    assert [(one.verb, one.why) for one in read_actions(client, LANE)] == [
        ("discard", "4"),
        ("export", "4"),
        ("discard", "3"),
    ]


def test_a_stranger_who_forges_a_note_breaks_neither_claim_nor_list(holder, client) -> None:
    """A note that no record could hold is part of the message; any other is believed."""
    for note in (b'{"laneway":[1,1,"a b",0,1],"x":1}', b'{"laneway":[1,1,"\xff",0,1],"x":1}'):
        holder.send(note)
        (claim,) = holder.claim()
        holder.settle("tail", claim)
        (claim,) = holder.claim()
        holder.settle("bury", claim, "invalid task\nno")
    forged = b'{"laneway":[1,9,"some.body@x",0,1],"x":1}'
    holder.send(forged)
    assert holder.claim() == []  # delivered too often, it says
    assert {(letter.kind, letter.worker) for letter in iterate(client, LANE)} == {
        ("invalid task", "w1"),
        ("delivery limit", "some.body@x"),
    }


def test_a_message_that_looks_like_a_note_is_not_taken_for_one_when_it_comes_back(
    holder, client
) -> None:
    inner = b'{"laneway":[1,4,"x",0,1],"a":1}'
    holder.send(b'{"laneway":[1,0,"w",0,1],' + inner[1:])
    (claim,) = holder.claim()
    assert (claim.message, claim.deliveries) == (inner, 1)
    holder.settle("bury", claim, "invalid task\nno")
    (letter,) = ids(client)
    actions.replay(client, LANE, [letter], action())
    (claim,) = holder.claim()
    assert (claim.message, claim.deliveries) == (inner, 1)


def test_a_reason_may_be_in_any_language(holder, client) -> None:
    letter = holder.bury(envelope(), reason="ungültig: 不正")
    for most_bytes in (None, 1):
        assert read_dead_letter(client, LANE, letter, most_bytes).reason == "ungültig: 不正"


def test_a_full_redis_still_lets_dead_letters_go(holder, client, redis) -> None:
    letters = [holder.bury(envelope(body="x" * 100)) for _ in range(3)]
    redis.config_set("maxmemory", "1mb")
    try:
        assert actions.replay(client, LANE, letters[:2], action()) == letters[:2]
        assert actions.discard(client, LANE, letters[2:], action("discard")) == letters[2:]
    finally:
        redis.config_set("maxmemory", "0")
    assert counts(client) == (0, 0)


def test_a_large_lane_is_not_read_whole_for_its_youngest(
    holder, client, redis, monkeypatch
) -> None:
    monkeypatch.setattr(dead_letters, "PAGE", 2)
    for number in range(10):
        age(holder, holder.bury(envelope(task_id=str(number))), by_ms=1_000 * (10 - number))
    redis.config_resetstat()
    assert len(list(islice(iterate(client, LANE), 2))) == 2
    stats = redis.info("commandstats")
    assert stats["cmdstat_hmget"]["calls"] == 1
