"""What a link claims at once, and what it leaves for later."""

import pytest

from broker.link_harness import LANE, message, publish, wait_until_waiting, workers
from laneway.tasks.broker import keys

pytestmark = pytest.mark.broker

READY = keys.ready_lists(LANE)


def test_a_wake_up_and_a_claim_never_fill_the_same_room_twice(raw, port) -> None:
    with workers(port, "w1", room=1) as worker:
        wait_until_waiting(worker.loop, raw, 1)
        raw.lpush(READY[3], message(1))  # for which nobody waits
        worker.expect(1)

        publish(raw, 2)
        worker.loop.turn_for(0.2)
        assert len(worker.claims) == 1

        worker.link.ack(worker.claims[0].id)
        worker.expect(2)


def test_a_last_delivery_shares_its_worker_with_nothing_that_died_before(raw, port) -> None:
    """Else what kills its worker would take along, for good, what always ran beside it."""
    with workers(port, "w1", max_deliveries=3) as worker:
        died = [noted(message(n), deliveries) for n, deliveries in enumerate([2, 2, 1, 0])]
        raw.lpush(LANE, *died)
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
