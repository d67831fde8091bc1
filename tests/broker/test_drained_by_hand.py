"""Who drains events without a worker, as remote control does for answers, leaves nothing open."""

import gc
import socket
from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
from kombu.asynchronous import Hub

from redis_server import RedisServer

pytestmark = pytest.mark.broker

TRANSPORT = "laneway.tasks.broker.transport:Transport"
LANE = "documents"
LIMIT_S = 30.0


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """The ends of all socket pairs that are made: an event loop wakes itself up by one."""
    ends: list[socket.socket] = []
    make = socket.socketpair

    def noted(*args, **kwargs):
        pair = make(*args, **kwargs)
        ends.extend(pair)
        return pair

    monkeypatch.setattr(socket, "socketpair", noted)
    return ends


@pytest.fixture
def connection(redis_server: RedisServer) -> Iterator[kombu.Connection]:
    with kombu.Connection(redis_server.url, transport=TRANSPORT) as connection:
        yield connection


def drain_in_vain(connection: kombu.Connection) -> None:
    connection.connect()
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.01)


def open_ends(made: list[socket.socket]) -> list[socket.socket]:
    return [end for end in made if end.fileno() >= 0]


def test_a_closed_connection_leaves_no_socket_of_its_event_loop(connection, made) -> None:
    drain_in_vain(connection)
    assert len(open_ends(made)) == 2
    connection.close()
    assert open_ends(made) == []


def test_nor_does_one_that_kombu_gives_up_for_another(connection, made) -> None:
    """As it does with each connection that broke."""
    drain_in_vain(connection)
    connection.collect()
    assert open_ends(made) == []
    drain_in_vain(connection)
    assert len(open_ends(made)) == 2


def test_nor_does_one_whose_channels_cannot_be_closed(connection, made, monkeypatch) -> None:
    drain_in_vain(connection)

    def fail() -> None:
        raise ConnectionError("Redis is away")

    with monkeypatch.context() as broken:
        broken.setattr(connection.default_channel, "close", fail)
        connection.collect()
    assert open_ends(made) == []


def test_a_workers_event_loop_outlives_its_connection(connection, made) -> None:
    hub = Hub()
    connection.connect()
    connection.register_with_event_loop(hub)
    drain_in_vain(connection)
    connection.close()
    assert len(open_ends(made)) == 2
    hub.close()
    assert open_ends(made) == []


def test_what_is_held_when_the_connection_closes_is_taken_by_the_next(redis_server, made) -> None:
    taken: list[str] = []

    def drain() -> None:
        with kombu.Connection(redis_server.url, transport=TRANSPORT) as connection:
            queue = kombu.Queue(LANE, channel=connection)
            consumer = connection.Consumer([queue], on_message=lambda m: taken.append(m.payload))
            with consumer:
                connection.drain_events(timeout=LIMIT_S)

    with kombu.Connection(redis_server.url, transport=TRANSPORT) as connection:
        connection.Producer().publish("once", routing_key=LANE)
    drain()
    drain()
    assert taken == ["once", "once"]
    assert open_ends(made) == []


def test_a_consumer_by_hand_leaves_no_descriptor_of_its_link(redis_server) -> None:
    def consume() -> None:
        with kombu.Connection(redis_server.url, transport=TRANSPORT) as connection:
            queue = kombu.Queue(LANE, channel=connection)
            with connection.Consumer([queue], on_message=lambda _: None):
                drain_in_vain(connection)

    def of_events() -> int:
        gc.collect()
        targets = map(_target, Path("/proc/self/fd").iterdir())
        return sum(target == "anon_inode:[eventfd]" for target in targets)

    before = of_events()
    for _ in range(3):
        consume()
    assert of_events() == before


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # the one that lists them
        return ""
