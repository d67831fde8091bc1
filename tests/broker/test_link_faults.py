"""A worker's link while connections break and Redis dies, freezes or falls silent.

What must hold: nothing is lost, nothing that a live worker runs is given to another, no end counts
twice. Work is done by `Works`, which ends each message in a way that its number says.
"""

from contextlib import contextmanager, suppress

import pytest
import redis
from redis.exceptions import RedisError

from broker.lane_model import read_lane
from broker.link_harness import LANE, Worker, message, publish, workers
from broker.works import Works
from faults.proxy import FaultProxy
from laneway.tasks.broker import keys
from redis_server import running_redis

pytestmark = pytest.mark.broker


@contextmanager
def two_at_work(port: int, **options):
    with workers(port, "w1", "w2", room=10, **options) as them:
        yield them, Works(them)


def check_all_done(raw, them: list[Worker], works: Works, sent: list[bytes]) -> None:
    """Turn until each message is acknowledged; then nothing is left and nothing was run twice."""
    loop = them[0].loop
    loop.turn_until(
        lambda: len(works.acknowledged) == len(sent), "the last acknowledgement", limit_s=60
    )
    for worker in them:
        worker.flush()
    assert works.twice == []
    assert works.acknowledged == dict.fromkeys(sent, 1)
    assert sum(worker.heard.late for worker in them) == 0
    found = read_lane(raw, LANE)
    assert (found.raws(), found.claims) == ({}, {})
    assert found.leases.keys() == {"w1", "w2"}


def kill_connections(raw) -> None:
    """All but the test's own."""
    for connection in raw.client_list():
        if connection["cmd"] not in {"client|list", "client"}:
            with suppress(RedisError):
                raw.client_kill(connection["addr"])


def test_work_goes_on_over_connections_that_are_cut_again_and_again(raw, redis_server) -> None:
    with two_at_work(redis_server.port) as (them, works):
        sent: list[bytes] = []
        while any(worker.heard.ups < 6 for worker in them):
            sent += publish(raw, *range(len(sent), len(sent) + 20))
            them[0].loop.turn_for(0.03)
            kill_connections(raw)

        check_all_done(raw, them, works, sent)


def test_a_redis_that_is_killed_and_started_again_loses_nothing(tmp_path) -> None:
    with (
        running_redis(tmp_path / "redis", appendonly="yes") as server,
        redis.Redis.from_url(server.admin_url) as raw,
        two_at_work(server.port) as (them, works),
    ):
        sent: list[bytes] = []

        def most_is_done() -> bool:
            return len(works.acknowledged) > len(sent) - 80

        for number in range(3):
            sent += publish(raw, *range(number * 100, number * 100 + 100))
            them[0].loop.turn_until(most_is_done, "some work")
            server.kill()
            them[0].loop.turn_until(lambda: all(w.link.away for w in them), "word of the loss")
            server.start()

        check_all_done(raw, them, works, sent)


def test_a_frozen_redis_takes_nothing_from_who_holds_it(tmp_path) -> None:
    """It stands still for longer than the time-out and the lease; others do not hurry to help."""
    with (
        running_redis(tmp_path / "redis") as server,
        redis.Redis.from_url(server.admin_url) as raw,
        two_at_work(server.port, timeout_s=1.0, lease_ms=3_000) as (them, works),
    ):
        sent = publish(raw, *range(200))
        them[0].loop.turn_until(lambda: len(works.acknowledged) > 50, "some work")
        server.freeze()
        them[0].loop.turn_until(lambda: all(w.link.away for w in them), "word of the silence")
        them[0].loop.turn_for(4.0)
        server.thaw()

        check_all_done(raw, them, works, sent)


def test_a_claim_whose_answer_was_lost_comes_again_and_counts_as_no_delivery(
    raw, redis_server
) -> None:
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", timeout_s=1.0) as worker,
    ):
        publish(raw, 1)
        worker.expect(1)
        worker.link.ack(worker.claims[0].id)
        worker.flush()
        proxy.black_hole("down")
        [sent] = publish(raw, 2)
        worker.loop.turn_until(lambda: read_lane(raw, LANE).claims, "a claim nobody knows of")
        assert len(worker.claims) == 1
        proxy.cut()
        proxy.heal()
        worker.expect(2)

        assert (worker.claims[1].message, worker.claims[1].deliveries) == (sent, 1)
        assert worker.heard.returned == 1
        assert list(read_lane(raw, LANE).claims) == [worker.claims[1].id]


def test_an_acknowledgement_whose_answer_was_lost_is_neither_late_nor_told_twice(
    raw, redis_server
) -> None:
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", timeout_s=1.0) as worker,
    ):
        publish(raw, 1)
        worker.expect(1)
        proxy.black_hole("down")
        worker.link.ack(worker.claims[0].id)
        worker.loop.turn_until(lambda: not read_lane(raw, LANE).claims, "the acknowledgement")
        proxy.cut()
        proxy.heal()
        worker.flush()

        assert (worker.heard.late, worker.heard.lost) == (0, [])
        assert not read_lane(raw, LANE).raws()


def test_an_end_while_redis_was_away_is_told_when_it_is_back(raw, redis_server) -> None:
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", timeout_s=1.0) as worker,
    ):
        publish(raw, *range(4))
        worker.expect(4)
        proxy.half_open()
        proxy.cut()
        worker.loop.turn_until(lambda: worker.link.away, "word of the loss")
        for claim, verb in zip(worker.claims, ("ack", "tail", "bury", "head"), strict=True):
            if verb == "ack":
                worker.link.ack(claim.id)
            else:
                worker.link.settle(verb, claim.id, "final failure\nno")
        worker.room = 0
        worker.loop.turn_for(0.5)
        assert len(read_lane(raw, LANE).claims) == 4
        proxy.heal()
        worker.flush()

        found = read_lane(raw, LANE)
        assert found.claims == {}
        assert [m.raw for m in found.ready[1]] == [message(1), message(3)]
        assert [letter.message.raw for letter in found.dead] == [message(2)]


def test_a_worker_that_drains_gives_back_the_message_it_was_just_woken_with(
    raw, redis_server
) -> None:
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", timeout_s=2.0) as worker,
    ):
        worker.loop.turn_until(
            lambda: any(each["cmd"] == "blmove" for each in raw.client_list()), "its waiting"
        )
        proxy.black_hole("down")
        [sent] = publish(raw, 1)
        worker.loop.turn_until(lambda: read_lane(raw, LANE).claims, "the claim")
        worker.link.stop_claiming()
        proxy.heal()
        worker.loop.turn_until(lambda: raw.llen(LANE) == 1, "its return")

        found = read_lane(raw, LANE)
        assert [(m.raw, m.deliveries) for m in found.ready[1]] == [(sent, 0)]
        assert (worker.claims, found.claims) == ([], {})


def test_words_of_an_old_connection_that_arrive_late_change_nothing(raw, redis_server) -> None:
    """A line that was dead for a while delivers what was sent on it when it lives again."""
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", room=2, timeout_s=1.0) as worker,
    ):
        publish(raw, 1, 2)
        worker.expect(2)
        proxy.black_hole("up")
        worker.link.ack(worker.claims[0].id)
        worker.loop.turn_for(0.1)
        assert len(read_lane(raw, LANE).claims) == 2
        worker.loop.turn_until(lambda: worker.heard.errors, "word of the silence")
        proxy.heal()
        worker.flush()
        publish(raw, 3, 4)
        worker.expect(3)
        worker.loop.turn_for(0.5)

        held = {claim.id for claim in worker.claims[1:]}
        assert read_lane(raw, LANE).claims.keys() == held
        assert worker.heard.late == 0


def test_a_worker_that_died_between_wake_up_and_claim_strands_nothing(raw, redis_server) -> None:
    publish(raw, 1)
    raw.lmove(LANE, keys.intake(LANE), "RIGHT", "LEFT")

    with workers(redis_server.port, "w1") as worker:
        worker.expect(1)
        assert worker.claims[0].message == message(1)


@pytest.mark.parametrize("garbage", [b"", b"\xff\x00", b"{", b'{"laneway":[1,1,"w",0,1],', b"[]"])
def test_any_bytes_reach_the_worker_as_they_are(raw, redis_server, garbage) -> None:
    with workers(redis_server.port, "w1") as worker:
        raw.lpush(LANE, garbage)
        worker.expect(1)
        worker.link.settle("again", worker.claims[0].id)
        worker.expect(2)

        assert worker.claims[0].message == worker.claims[1].message
        assert worker.claims[1].deliveries == worker.claims[0].deliveries + 1


def test_every_try_to_connect_is_an_epoch_of_its_own(raw, redis_server) -> None:
    """An answer may have been lost after Redis did what it was told: what comes late is too old."""
    with (
        FaultProxy(redis_server.port) as proxy,
        workers(proxy.port, "w1", timeout_s=0.5) as worker,
    ):
        proxy.black_hole("down")
        proxy.cut()
        worker.loop.turn_until(lambda: len(worker.heard.errors) >= 4, "three tries in vain")
        proxy.heal()
        worker.loop.turn_until(lambda: worker.heard.ups == 2, "its connections")

        # The first error was the cut itself; each of the others ended a try.
        tried = len(worker.heard.errors)
        assert read_lane(raw, LANE).epochs == {"w1": 1 + tried}
        assert worker.link.ledger.epoch == 1 + tried
