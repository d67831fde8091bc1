"""Lanes on a Redis Cluster: each on its node, and over the moves of its slot."""

import json
import time
from contextlib import contextmanager

import kombu
import pytest
from redis.crc import key_slot

from broker.cluster_harness import plain, running_cluster
from broker.lane_model import read_lane
from broker.link_harness import Loop, Worker
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.cluster import CLUSTER_TRANSPORT, connect_cluster, is_cluster
from laneway.tasks.broker.rate_limit import take_turn
from laneway.tasks.errors import SubmissionError
from worker_harness import wait_for

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]

SOCKETS = {"socket_timeout": 2.0, "socket_connect_timeout": 2.0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with connect_cluster(cluster.url, **SOCKETS) as client:
        for node in cluster.nodes:
            with plain(node) as one:
                one.flushall()
        yield client


@pytest.fixture
def connection(cluster, client):
    given = {"cluster_url": cluster.url, "priority_steps": list(keys.PRIORITY_STEPS), **SOCKETS}
    url = f"redis://127.0.0.1:{cluster.nodes[0].port}/0"
    with kombu.Connection(url, transport=CLUSTER_TRANSPORT, transport_options=given) as connection:
        yield connection


def send(connection, lane: str, number: int, **options) -> None:
    connection.Producer().publish("", routing_key=lane, headers={"id": number}, **options)


@contextmanager
def at_work(cluster, *lanes: str, **options):
    """A worker for each lane, in one loop."""
    loop = Loop()
    made = [Worker(loop, cluster.url, f"w-{lane}", lane=lane, **options) for lane in lanes]
    try:
        for worker in made:
            worker.begin()
        yield made
    finally:
        for worker in made:
            worker.end()
        loop.close()


def ids(worker: Worker) -> list[int]:
    return [json.loads(claim.message)["headers"]["id"] for claim in worker.claims]


@pytest.mark.parametrize("lane", ["documents", "a", "high-priority"])
def test_all_keys_of_a_lane_have_one_slot(lane) -> None:
    names = [keys.intake, keys.claims, keys.leases, keys.epochs, keys.delayed]
    names += [keys.dead_letters, keys.dead_records, keys.dead_log]
    assert {key_slot(name(lane).encode()) for name in names} == {key_slot(lane.encode())}


def test_lanes_live_on_different_nodes_and_work(cluster, client, connection) -> None:
    lanes = [cluster.lane_of(at) for at in range(3)]
    with at_work(cluster, *lanes) as them:
        for lane in lanes:
            for number in range(20):
                send(connection, lane, number)
        for worker in them:
            worker.on_claim = lambda claim, worker=worker: worker.link.ack(claim.id)
            for claim in list(worker.link.ledger.held):
                worker.link.ack(claim)
            worker.expect(20)
            worker.flush()

        for at, (worker, lane) in enumerate(zip(them, lanes, strict=True)):
            assert ids(worker) == list(range(20))
            assert worker.heard.errors == []
            with plain(cluster.nodes[at]) as node:
                assert read_lane(node, lane, priorities=False).leases.keys() == {worker.name}
        assert not any(backlog.waiting for backlog in read_backlogs(client, lanes).values())


def test_messages_wait_for_their_time_on_a_cluster(cluster, client, connection) -> None:
    lane = cluster.lane_of(1)
    with at_work(cluster, lane) as [worker]:
        eta = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 2))
        connection.Producer().publish("", routing_key=lane, headers={"id": 1, "eta": eta})
        assert client.zcard(keys.delayed(lane)) == 1
        worker.expect(1)
        worker.link.settle("park", worker.claims[0].id, str(worker.link.redis_ms + 200))
        worker.expect(2)

        assert ids(worker) == [1, 1]


def test_a_lanes_slot_moves_while_its_worker_runs(cluster, client, connection) -> None:
    """With all that it has: what is ready, delayed and held. The worker follows."""
    lane = cluster.lane_of(0)
    with at_work(cluster, lane, room=3) as [worker]:
        for number in range(6):
            send(connection, lane, number)
        worker.expect(3)
        cluster.move(lane, 0, 2)
        try:
            for claim in worker.claims[:3]:
                worker.link.ack(claim.id)
            worker.expect(6)
            worker.flush()
            send(connection, lane, 6)
            worker.link.ack(worker.claims[3].id)
            worker.expect(7)

            assert ids(worker) == list(range(7))
            assert (worker.heard.late, worker.heard.lost) == (0, [])
            assert any("MOVED" in type(e).__name__.upper() for e in worker.heard.errors)
            with plain(cluster.nodes[2]) as node:
                assert read_lane(node, lane, priorities=False).leases.keys() == {worker.name}
        finally:
            worker.end()
            cluster.move(lane, 2, 0)


def test_a_worker_that_waits_learns_that_its_slot_moved(cluster, client, connection) -> None:
    lane = cluster.lane_of(0)
    with at_work(cluster, lane) as [worker]:
        worker.loop.turn_for(0.5)
        cluster.move(lane, 0, 1)
        try:
            send(connection, lane, 1)
            worker.expect(1)
        finally:
            worker.end()
            cluster.move(lane, 1, 0)


def test_a_lost_node_stops_its_own_lanes_alone(cluster, client, connection) -> None:
    lost, other = cluster.lane_of(0), cluster.lane_of(1)
    with at_work(cluster, lost, other, timeout_s=1.0) as (stranded, worker):
        send(connection, lost, 1)
        stranded.expect(1)
        cluster.nodes[0].kill()
        stranded.loop.turn_until(lambda: stranded.link.away, "word of the loss")
        for number in range(5):
            client.lpush(other, json.dumps({"headers": {"id": number}}))
        worker.on_claim = lambda claim: worker.link.ack(claim.id)
        worker.expect(5)
        assert worker.heard.errors == []

        stranded.link.ack(stranded.claims[0].id)
        cluster.nodes[0].start()
        stranded.flush()
        assert (stranded.heard.late, stranded.heard.lost) == (0, [])
        wait_for(lambda: send(connection, lost, 2) is None, "the lane")
        stranded.expect(2)


def test_a_priority_is_refused_with_the_reason(cluster, connection) -> None:
    with pytest.raises(SubmissionError, match=r"priority 5.*Redis Cluster"):
        send(connection, cluster.lane_of(0), 1, priority=5)


def test_a_batch_goes_to_lanes_of_several_nodes(cluster, client, connection) -> None:
    lanes = [cluster.lane_of(at) for at in range(3)]
    producer = connection.Producer()
    with producer.batch():
        for number, lane in enumerate(lanes):
            producer.publish("", routing_key=lane, headers={"id": number})

    assert [client.llen(lane) for lane in lanes] == [1, 1, 1]


def test_a_rate_limit_holds_on_a_cluster(client) -> None:
    turns = [take_turn(client, "a.task", 1.0, 0) for _ in range(3)]

    assert turns[0] is None
    assert turns[2] - turns[1] == 1_000


def test_a_url_with_a_database_is_refused() -> None:
    assert is_cluster("redis+cluster://one:1")
    with pytest.raises(ValueError, match="no numbered databases"):
        connect_cluster("redis+cluster://one:1/3")
    with pytest.raises(ValueError, match="'one:x' is no host:port"):
        connect_cluster("redis+cluster://one:x")
