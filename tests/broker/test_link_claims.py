"""What a link claims at once, and what it leaves for later."""

import pytest
import redis

from broker.link_harness import LANE, message, publish, wait_until_waiting, workers
from laneway.tasks.broker import keys
from redis_server import RedisServer

pytestmark = pytest.mark.broker

READY = keys.ready_lists(LANE)


@pytest.fixture
def client(redis_server: RedisServer):
    with redis.Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def port(redis_server: RedisServer) -> int:
    return redis_server.port


def test_a_wake_up_and_a_claim_never_fill_the_same_room_twice(client, port) -> None:
    with workers(port, "w1", room=1) as worker:
        wait_until_waiting(worker.loop, client, 1)
        client.lpush(READY[3], message(1))  # for which nobody waits
        worker.expect(1)

        publish(client, 2)
        worker.loop.turn_for(0.2)
        assert len(worker.claims) == 1

        worker.link.ack(worker.claims[0].id)
        worker.expect(2)


def test_a_last_delivery_shares_its_worker_with_nothing_that_died_before(client, port) -> None:
    """Else what kills its worker would take along, for good, what always ran beside it."""
    with workers(port, "w1", max_deliveries=3) as worker:
        died = [noted(message(n), deliveries) for n, deliveries in enumerate([2, 2, 1, 0])]
        client.lpush(LANE, *died)
        worker.expect(2)
        worker.loop.turn_for(2.5)  # what waits for its turn comes up, and waits on
        assert [claim.message for claim in worker.claims] == [message(0), message(3)]

        worker.link.ack(worker.claims[0].id)
        worker.expect(3)
        assert worker.claims[2].message == message(1)
        worker.link.ack(worker.claims[2].id)
        worker.expect(4)
        assert worker.claims[3].message == message(2)


def noted(sent: bytes, deliveries: int) -> bytes:
    """As it comes back to the lane when workers that had it have died."""
    note = b'{"laneway":[1,%d,"w0",0,1],' % deliveries if deliveries else b"{"
    return note + sent[1:]
