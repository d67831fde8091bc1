"""The fault proxy does to real sockets what it says."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from faults.proxy import FaultProxy

pytestmark = pytest.mark.unit

SILENCE_S = 0.3
PATIENCE_S = 10.0


class EchoServer:
    """Sends back what it reads; counts the connections that it saw end."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.ended = threading.Semaphore(0)
        self.heard = bytearray()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._echo, args=(peer,), daemon=True).start()

    def _echo(self, peer: socket.socket) -> None:
        with closing(peer), suppress(OSError):
            while data := peer.recv(65_536):
                self.heard += data
                peer.sendall(data)
        self.ended.release()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # `accept` would keep it open
        self._listener.close()


@pytest.fixture
def server() -> Iterator[EchoServer]:
    echo = EchoServer()
    yield echo
    with suppress(OSError):
        echo.close()


@pytest.fixture
def proxy(server: EchoServer) -> Iterator[FaultProxy]:
    with FaultProxy(server.port) as running:
        yield running


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[socket.socket]:
    with connected(proxy) as opened:
        yield opened


def connected(proxy: FaultProxy) -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", proxy.port), PATIENCE_S)
    opened.settimeout(PATIENCE_S)
    return opened


def receive(client: socket.socket, count: int) -> bytes:
    """So many bytes, or what came before the end."""
    got = b""
    while len(got) < count:
        data = client.recv(count - len(got))
        if not data:
            break
        got += data
    return got


def exchange(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return receive(client, len(data))


def is_silent(client: socket.socket) -> bool:
    client.settimeout(SILENCE_S)
    try:
        client.recv(1)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PATIENCE_S)
    return False


def test_a_good_line_carries_everything_in_order(client) -> None:
    sent = bytes(range(256)) * 4_096
    threading.Thread(target=client.sendall, args=(sent,)).start()
    assert receive(client, len(sent)) == sent


def test_the_end_of_one_way_leaves_the_other(client) -> None:
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert receive(client, 10) == b"last words"
    assert client.recv(1) == b""


def test_latency_delays_each_way_and_keeps_the_order(client, proxy) -> None:
    proxy.slow(latency_ms=50, jitter_ms=40)
    began_s = time.monotonic()
    assert exchange(client, b"0123456789" * 10) == b"0123456789" * 10
    assert time.monotonic() - began_s >= 0.02  # twice the least latency
    for number in range(20):
        client.sendall(bytes([number]))
    assert receive(client, 20) == bytes(range(20))


def test_latency_does_not_add_up_over_what_is_under_way(client, proxy) -> None:
    proxy.slow(latency_ms=100)
    sent = [b"%03d" % number for number in range(40)]
    began_s = time.monotonic()
    for piece in sent:
        client.sendall(piece)
        time.sleep(0.002)
    assert receive(client, 120) == b"".join(sent)
    assert time.monotonic() - began_s < 40 * 0.1


def test_a_throttled_line_takes_its_time(client, proxy) -> None:
    proxy.throttle(100_000)
    began_s = time.monotonic()
    # The echo of the second comes after the first's time on the line, both ways.
    assert exchange(client, b"x" * 20_000) == b"x" * 20_000
    assert exchange(client, b"y") == b"y"
    assert time.monotonic() - began_s >= 0.2


def test_a_connection_is_reset_after_its_bytes(client, proxy, server) -> None:
    assert exchange(client, b"12345") == b"12345"
    proxy.reset_after(8)
    client.sendall(b"abcdefghijkl")
    with pytest.raises(ConnectionResetError):
        receive(client, 1)
    server.ended.acquire(timeout=PATIENCE_S)
    assert bytes(server.heard) == b"12345abcdefgh"


def test_the_budget_counts_both_ways(client, proxy) -> None:
    proxy.reset_after(15)
    client.sendall(b"1234567890")
    with pytest.raises(ConnectionResetError):
        receive(client, 10)


def test_a_cut_resets_both_sides_and_the_next_connection_is_good(client, proxy, server) -> None:
    assert exchange(client, b"hello") == b"hello"
    assert proxy.cut() == 1
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    assert server.ended.acquire(timeout=PATIENCE_S)
    assert proxy.connections == 0
    with connected(proxy) as again:
        assert exchange(again, b"hello again") == b"hello again"


def test_a_half_open_connection_is_taken_and_never_served(client, proxy) -> None:
    assert exchange(client, b"before") == b"before"
    proxy.half_open()
    with connected(proxy) as stuck:
        stuck.sendall(b"anybody?")
        assert is_silent(stuck)
        assert exchange(client, b"as ever") == b"as ever"
        proxy.heal()
        assert receive(stuck, 8) == b"anybody?"


@pytest.mark.parametrize(("ways", "heard"), [((), False), (("up",), False), (("down",), True)])
def test_a_black_hole_is_silent_until_it_heals(client, proxy, server, ways, heard) -> None:
    assert exchange(client, b"12") == b"12"
    proxy.black_hole(*ways)
    client.sendall(b"34")
    assert is_silent(client)
    assert (bytes(server.heard) == b"1234") is heard
    proxy.heal()
    assert receive(client, 2) == b"34"


def test_a_black_hole_hides_that_a_client_is_gone(client, proxy, server) -> None:
    assert exchange(client, b"here") == b"here"
    proxy.black_hole()
    client.close()
    assert not server.ended.acquire(timeout=SILENCE_S)
    proxy.heal()
    assert server.ended.acquire(timeout=PATIENCE_S)


def test_a_server_that_is_away_ends_the_connection(proxy, server) -> None:
    server.close()
    with pytest.raises(ConnectionResetError), connected(proxy) as refused:
        refused.recv(1)
