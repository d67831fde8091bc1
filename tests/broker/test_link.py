"""A worker's link to its lane, on a real event loop, while all goes well or a little wrong."""

import pytest
import redis
from redis.exceptions import OutOfMemoryError, ResponseError

from broker.lane_model import read_lane
from broker.link_harness import LANE, Loop, message, publish, wait_until_waiting, workers
from laneway.tasks.broker import keys
from laneway.tasks.broker.transport import delayed_record
from redis_server import running_redis

pytestmark = pytest.mark.broker

READY = keys.ready_lists(LANE)


def calls(raw, command: str) -> int:
    return int(raw.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0))


def test_a_message_wakes_a_worker_that_waits(raw, port) -> None:
    with workers(port, "w1") as worker:
        wait_until_waiting(worker.loop, raw, 1)

        [sent] = publish(raw, 1)
        worker.expect(1)

        [claim] = worker.claims
        assert (claim.message, claim.deliveries, claim.turn_ms) == (sent, 1, 0)
        assert list(read_lane(raw, LANE).claims) == [claim.id]


def test_one_message_wakes_one_worker(raw, port) -> None:
    """It looks at the intake once more and at the four lists; the others look at nothing."""
    with workers(port, "w1", "w2", "w3") as them:
        loop = them[0].loop
        wait_until_waiting(loop, raw, 3)
        raw.config_resetstat()

        publish(raw, 1)
        loop.turn_until(lambda: any(w.claims for w in them), "the message")
        wait_until_waiting(loop, raw, 3)

        assert sorted(len(w.claims) for w in them) == [0, 0, 1]
        assert calls(raw, "rpop") <= 6


def test_an_idle_worker_asks_for_nothing_but_its_lease(raw, port) -> None:
    with workers(port, "w1") as worker:
        wait_until_waiting(worker.loop, raw, 1)
        raw.config_resetstat()

        worker.loop.turn_for(2.5)

        assert calls(raw, "evalsha") <= 4
        assert calls(raw, "rpop") == 0


def test_workers_share_a_lane(raw, port) -> None:
    with workers(port, "w1", "w2", room=5) as (one, two):
        sent = publish(raw, *range(10))
        one.loop.turn_until(lambda: len(one.claims) + len(two.claims) == 10, "all messages")

        assert len(one.claims) == len(two.claims) == 5
        assert one.given() + two.given() == dict.fromkeys(sent, 1)


def test_messages_come_in_the_order_they_were_sent(raw, port) -> None:
    with workers(port, "w1", room=1) as worker:
        worker.on_claim = lambda claim: worker.link.ack(claim.id)
        sent = publish(raw, *range(20))
        worker.expect(20)

        assert [claim.message for claim in worker.claims] == sent


def test_a_worker_with_no_room_claims_nothing(raw, port) -> None:
    with workers(port, "w1", room=2) as worker:
        publish(raw, *range(5))
        worker.expect(2)
        worker.loop.turn_for(0.3)
        assert len(worker.claims) == 2

        worker.link.ack(worker.claims[0].id)
        worker.expect(3)

        assert raw.llen(LANE) == 2


def test_acknowledged_messages_are_gone(raw, port) -> None:
    with workers(port, "w1", room=100) as worker:
        worker.on_claim = lambda claim: worker.link.ack(claim.id)
        publish(raw, *range(300))
        worker.expect(300)
        worker.flush()

        found = read_lane(raw, LANE)
        assert not found.raws()
        assert worker.heard.late == 0


@pytest.mark.parametrize("step", [2, 3, 4])
def test_messages_of_lower_priority_are_found_though_nobody_waits_for_them(raw, port, step) -> None:
    with workers(port, "w1") as worker:
        wait_until_waiting(worker.loop, raw, 1)
        raw.lpush(READY[step - 1], message(1))
        worker.expect(1)

        [held] = read_lane(raw, LANE).claims.values()
        assert held.step == step


def test_a_delayed_message_comes_when_it_is_due(raw, port) -> None:
    with workers(port, "w1") as worker:
        seconds, micros = raw.time()
        due_ms = seconds * 1000 + micros // 1000 + 700
        record = delayed_record(message(1).decode(), 0)
        raw.zadd(keys.delayed(LANE), {record: due_ms})
        worker.expect(1)

        assert worker.link.redis_ms >= due_ms
        worker.loop.turn_until(lambda: worker.heard.due == 1, "word of it")
        assert worker.claims[0].message == message(1)


def test_a_parked_message_comes_again_and_was_not_delivered(raw, port) -> None:
    with workers(port, "w1") as worker:
        publish(raw, 1)
        worker.expect(1)
        due_ms = worker.link.redis_ms + 500
        worker.link.settle("park", worker.claims[0].id, str(due_ms))
        worker.expect(2)

        assert [claim.deliveries for claim in worker.claims] == [1, 1]
        assert worker.link.redis_ms >= due_ms


def test_a_message_whose_rate_limit_gave_it_a_turn_carries_the_turn(raw, port) -> None:
    with workers(port, "w1") as worker:
        publish(raw, 1)
        worker.expect(1)
        turn_ms = worker.link.redis_ms + 300
        worker.link.settle("turn", worker.claims[0].id, str(turn_ms))
        worker.expect(2)

        assert [claim.turn_ms for claim in worker.claims] == [0, turn_ms]


def test_a_message_delivered_too_often_is_told_of_and_not_given(raw, port) -> None:
    with workers(port, "w1", max_deliveries=2) as worker:
        worker.on_claim = lambda claim: worker.link.settle("again", claim.id)
        [sent] = publish(raw, 1)
        worker.loop.turn_until(lambda: worker.heard.buried, "a burial")

        assert [claim.deliveries for claim in worker.claims] == [1, 2]
        [(letter, kind, told)] = worker.heard.buried
        assert (kind, told) == ("delivery limit", sent)
        assert raw.zrange(keys.dead_letters(LANE), 0, -1) == [letter.encode()]


def test_a_worker_that_leaves_gives_back_what_it_holds_unrun_and_in_order(raw, port) -> None:
    with workers(port, "w1", room=3) as worker:
        sent = publish(raw, *range(5))
        worker.expect(3)

    found = read_lane(raw, LANE)
    assert [m.raw for m in reversed(found.ready[1])] == sent
    assert {m.deliveries for m in found.ready[1]} == {0}
    assert (found.claims, found.leases, found.epochs) == ({}, {}, {})


def test_a_worker_that_leaves_tells_first_what_has_ended(raw, port) -> None:
    with workers(port, "w1", room=3) as worker:
        publish(raw, *range(3))
        worker.expect(3)
        worker.link.ack(worker.claims[0].id)
        worker.link.settle("bury", worker.claims[1].id, "invalid task\nno such argument")

    found = read_lane(raw, LANE)
    assert [m.raw for m in found.ready[1]] == [message(2)]
    assert [letter.message.raw for letter in found.dead] == [message(1)]


def test_a_worker_that_drains_claims_nothing_more_and_ends_what_it_holds(raw, port) -> None:
    with workers(port, "w1") as worker:
        publish(raw, 1)
        worker.expect(1)
        worker.link.stop_claiming()
        publish(raw, 2, 3)
        worker.loop.turn_until(lambda: not worker.link.away, "its new connections")
        worker.link.ack(worker.claims[0].id)
        worker.flush()
        worker.loop.turn_for(1.2)

        found = read_lane(raw, LANE)
        assert len(worker.claims) == 1
        assert (len(found.ready[1]), found.intake, found.claims) == (2, [], {})
        assert "w1" in found.leases


def test_a_worker_whose_lease_ran_out_learns_it_and_its_late_end_changes_nothing(raw, port) -> None:
    """Its loop stands still, as if its machine had been paused."""
    with workers(port, "paused", loop=Loop(), room=3, lease_ms=1_500) as paused:
        publish(raw, 1, 2)
        paused.expect(2)
        with workers(port, "other", lease_ms=20_000) as other:
            other.expect(2)  # the loop of the paused one does not turn meanwhile
            other.loop.turn_until(lambda: other.heard.recovered == 2, "word of the recovery")
            assert {claim.deliveries for claim in other.claims} == {2}

            paused.link.ack(paused.claims[0].id)
            paused.loop.turn_until(lambda: paused.heard.late, "word of the late end")
            assert paused.heard.late == 1
            assert [claim.id for claim in paused.heard.lost] == [paused.claims[1].id]
            paused.link.ack(paused.claims[1].id)
            assert paused.heard.late == 2
            assert len(read_lane(raw, LANE).claims) == 2  # the other's

            for claim in other.claims:
                other.link.ack(claim.id)
            other.flush()
            assert not read_lane(raw, LANE).raws()
            assert other.heard.late == 0


def test_a_worker_that_lives_keeps_what_it_holds_longer_than_its_lease(raw, port) -> None:
    with workers(port, "w1", "w2", lease_ms=1_500) as them:
        publish(raw, 1)
        loop = them[0].loop
        loop.turn_until(lambda: any(w.claims for w in them), "the message")
        loop.turn_for(7.5)

        assert sum(len(w.claims) for w in them) == 1
        assert sum(w.heard.recovered for w in them) == 0


def test_a_redis_that_forgot_the_scripts_is_given_them_again(raw, port) -> None:
    with workers(port, "w1") as worker:
        publish(raw, 1)
        worker.expect(1)
        raw.script_flush()
        worker.link.ack(worker.claims[0].id)
        publish(raw, 2)
        worker.expect(2)
        worker.flush()

        assert worker.given() == {message(1): 1, message(2): 1}
        assert list(read_lane(raw, LANE).claims) == [worker.claims[1].id]


def test_a_foreign_key_in_the_lanes_name_is_told_without_a_hot_loop(raw, port) -> None:
    raw.set(LANE, "a word")
    with workers(port, "w1") as worker:
        before = raw.info("stats")["total_connections_received"]
        worker.loop.turn_for(4.0)
        made = raw.info("stats")["total_connections_received"] - before

        assert any("WRONGTYPE" in str(error) for error in worker.heard.errors)
        assert {type(error) for error in worker.heard.errors} <= {ResponseError}
        assert 2 <= made <= 30

        raw.delete(LANE)
        publish(raw, 1)
        worker.expect(1)


@pytest.fixture
def small_redis(tmp_path):
    with running_redis(tmp_path / "small", maxmemory_policy="noeviction") as server:
        yield server


def fill(raw) -> None:
    """No command that may need memory is served from here on."""
    raw.config_set("maxmemory", raw.info("memory")["used_memory"] - 100_000)
    with pytest.raises(OutOfMemoryError):
        raw.lpush(LANE, "x")


def test_a_full_redis_drains_and_keeps_its_workers(small_redis) -> None:
    with (
        redis.Redis.from_url(small_redis.admin_url) as raw,
        workers(small_redis.port, "w1", room=2) as worker,
    ):
        publish(raw, *range(20))
        worker.expect(2)
        fill(raw)
        lease_ms = read_lane(raw, LANE).leases["w1"]

        parked, buried = worker.claims
        worker.link.settle("park", parked.id, str(worker.link.redis_ms + 300))
        worker.link.settle("bury", buried.id, "final failure\nno")
        worker.on_claim = lambda claim: worker.link.ack(claim.id)
        worker.expect(2 + 18 + 1)
        worker.flush()
        worker.loop.turn_until(
            lambda: read_lane(raw, LANE).leases["w1"] > lease_ms, "a renewed lease"
        )

        found = read_lane(raw, LANE)
        assert [letter.message.raw for letter in found.dead] == [message(1)]
        assert found.raws() == {message(1): 1}
        assert worker.heard.late == 0
        assert worker.heard.errors == []


def test_a_worker_that_waits_at_a_full_redis_goes_on_and_waits_again_when_it_can(
    small_redis,
) -> None:
    """Redis refuses a blocking move while it is full: a worker that took it for a fault would make
    connections all the time, and see neither what is due nor what the dead held."""
    with (
        redis.Redis.from_url(small_redis.admin_url) as raw,
        workers(small_redis.port, "w1", lease_ms=3_000) as worker,
    ):
        publish(raw, 1)
        worker.expect(1)
        worker.link.ack(worker.claims[0].id)
        worker.flush()
        seconds, _ = raw.time()
        record = delayed_record(message(2).decode(), 0)
        raw.zadd(keys.delayed(LANE), {record: seconds * 1000 + 3_000})
        fill(raw)
        worker.expect(2)
        assert "w1" in read_lane(raw, LANE).leases

        raw.config_set("maxmemory", 0)
        wait_until_waiting(worker.loop, raw, 1)
        publish(raw, 3)
        worker.expect(3)
        assert (worker.heard.ups, worker.heard.errors) == (1, [])


def test_a_link_forgets_nothing_when_its_loop_is_emptied(raw, port) -> None:
    """Celery does so when it starts its consumer anew."""
    with workers(port, "w1") as worker:
        publish(raw, 1)
        worker.expect(1)
        hub = worker.loop.hub
        hub.reset()
        worker.link.attach(hub, worker._take, lambda: 4 - len(worker.link.ledger.held))
        publish(raw, 2)
        worker.link.ack(worker.claims[0].id)
        worker.expect(2)
        worker.flush()

        assert worker.given() == {message(1): 1, message(2): 1}
        assert worker.heard.errors == []
