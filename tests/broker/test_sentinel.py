"""A failover that Sentinels make, under load: what is lost, and what waiting for a replica is worth."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import kombu
import pytest

from broker.lane_model import read_lane
from broker.link_harness import LANE, workers
from broker.sentinel_harness import SentinelGroup, sentinel_group
from broker.works import Works
from laneway.tasks.broker import keys
from laneway.tasks.broker.sentinel import connect_sentinel, kombu_options, kombu_url
from laneway.tasks.broker.submissions import wait_until_safe

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

TRANSPORT = "laneway.tasks.broker.transport:SentinelTransport"
SOCKETS = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
LOAD_S = 6.0
WAIT_MS = 800
"""Below the sockets' time-out, which would cut it off."""


@dataclass
class Publisher:
    """Publishes through kombu, and notes what it was promised."""

    url: str
    safe: bool
    """Whether it waits for a replica."""
    accepted: set[int] = field(default_factory=set)
    promised: set[int] = field(default_factory=set)
    refused: int = 0
    count: int = 0

    def __post_init__(self) -> None:
        self._connection = kombu.Connection(
            kombu_url(self.url),
            transport=TRANSPORT,
            transport_options={**kombu_options(self.url), **SOCKETS},
        )
        self._client = connect_sentinel(self.url, decode_responses=True, **SOCKETS)

    def close(self) -> None:
        self._connection.close()
        self._client.close()

    def publish(self) -> None:
        number, self.count = self.count, self.count + 1
        try:
            self._connection.Producer().publish("", routing_key=LANE, headers={"id": number})
            self.accepted.add(number)
            if self.safe and wait_until_safe(self._client, "replica", WAIT_MS).level == "replica":
                self.promised.add(number)
        except self._connection.connection_errors + self._connection.channel_errors:
            self.refused += 1

    def publish_until_accepted(self, count: int) -> None:
        wanted = len(self.accepted) + count
        while len(self.accepted) < wanted:
            self.publish()

    def publish_until(self, ended: threading.Event) -> None:
        while not ended.is_set():
            self.publish()
            time.sleep(0.005)


@pytest.fixture
def group(tmp_path):
    with sentinel_group(tmp_path) as group:
        yield group


def numbers(messages: Counter[bytes]) -> Counter[int]:
    found: Counter[int] = Counter()
    for raw, count in messages.items():
        found[json.loads(raw)["headers"]["id"]] += count
    return found


@pytest.mark.parametrize("safe", [False, True], ids=["without WAIT", "with WAIT"])
def test_a_failover_under_load_loses_nothing_that_a_replica_had(
    group: SentinelGroup, safe: bool
) -> None:
    publisher = Publisher(group.url, safe)
    ended = threading.Event()
    with workers(group.url, "w1", "w2", room=10, timeout_s=1.0) as them:
        works, loop = Works(them), them[0].loop
        thread = threading.Thread(target=publisher.publish_until, args=(ended,), daemon=True)
        thread.start()
        loop.turn_for(LOAD_S / 3)
        group.primary.kill()
        began_s = time.monotonic()
        before = sum(works.acknowledged.values())
        loop.turn_until(
            lambda: (
                group.primary_port() == group.replica.port
                and sum(works.acknowledged.values()) > before
            ),
            "work on the new primary",
            limit_s=60,
        )
        recovered_s = time.monotonic() - began_s
        loop.turn_for(LOAD_S / 3)
        ended.set()
        thread.join(20)
        with group.replica.client() as client:
            loop.turn_until(lambda: not any(read_counts(client)), "the end of the work", 60)
        for worker in them:
            worker.flush()

    done = numbers(works.acknowledged)
    lost = publisher.accepted - done.keys()
    repeated = sum(count > 1 for count in done.values())
    print(
        f"accepted {len(publisher.accepted)}, promised {len(publisher.promised)}, refused "
        f"{publisher.refused}, lost {len(lost)}, repeated {repeated}, recovery {recovered_s:.1f} s"
    )
    publisher.close()
    assert publisher.promised - done.keys() == set()
    assert publisher.promised or not safe
    # Without waiting, what was under way to the replica when the primary died may be lost.
    assert len(lost) <= 50
    assert sum(worker.heard.late for worker in them) == 0


def read_counts(client) -> list[int]:
    held, waits = client.hlen(keys.claims(LANE)), client.zcard(keys.delayed(LANE))
    return [client.llen(LANE), client.llen(keys.intake(LANE)), held, waits]


def test_what_a_failover_loses_was_not_promised(group: SentinelGroup) -> None:
    """The line to the replica goes deaf before the primary dies."""
    publisher = Publisher(group.url, safe=True)
    publisher.publish_until_accepted(10)
    promised = set(publisher.promised)
    assert promised
    group.line.black_hole("down")
    publisher.publish_until_accepted(3)
    assert publisher.promised == promised
    unsafe = publisher.accepted - promised
    group.primary.kill()
    group.wait_for_failover()
    publisher.publish_until_accepted(1)
    publisher.close()

    with connect_sentinel(group.url, **SOCKETS) as client:
        kept = numbers(read_lane(client, LANE).raws())
    assert promised - kept.keys() == set()
    assert len(unsafe - kept.keys()) >= 3
    assert max(publisher.accepted) in kept


def test_a_worker_keeps_what_it_runs_over_a_failover(group: SentinelGroup) -> None:
    publisher = Publisher(group.url, safe=True)
    with workers(group.url, "w1", room=3, timeout_s=1.0) as worker:
        publisher.publish_until_accepted(5)
        worker.expect(3)
        with group.primary.client() as client:
            assert client.wait(1, 5_000) == 1
        group.primary.kill()
        worker.loop.turn_until(lambda: worker.link.away, "word of the loss")
        worker.loop.turn_until(lambda: not worker.link.away, "the new primary", limit_s=60)
        for claim in worker.claims[:3]:
            worker.link.ack(claim.id)
        worker.expect(5)
        worker.flush()

        assert worker.heard.late == 0
        assert worker.heard.lost == []
        assert [claim.deliveries for claim in worker.claims] == [1] * 5
    publisher.close()
