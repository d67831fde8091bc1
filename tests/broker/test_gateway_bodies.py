"""Bodies that are too large, too slow, or not what they say, sent to a real server."""

import json
import socket
from urllib.parse import urlsplit

import httpx2
import pytest

from gateway_harness import MAIL, make_api, serving
from laneway.services.gateway import bodies
from redis_server import RedisServer

pytestmark = pytest.mark.broker

SEND = {"task": "notifications.send_email", "kwargs": MAIL}
LIMIT_BYTES = 2_048


@pytest.fixture
def server(redis_server: RedisServer):
    with serving(make_api(redis_server.url, gateway_payload_limit_bytes=LIMIT_BYTES)) as url:
        yield url


@pytest.fixture
def client(server):
    with httpx2.Client(base_url=server, timeout=30) as client:
        yield client


def post(client, content, content_type="application/json", **headers):
    return client.post(
        "/v1/tasks", content=content, headers={"Content-Type": content_type, **headers}
    )


def sized(size: int) -> bytes:
    """A valid submit of exactly so many bytes."""
    empty = len(json.dumps({**SEND, "kwargs": {**MAIL, "body": ""}}))
    return json.dumps({**SEND, "kwargs": {**MAIL, "body": "x" * (size - empty)}}).encode()


def test_the_cap_is_exact(client) -> None:
    assert post(client, sized(LIMIT_BYTES)).status_code == 202
    answer = post(client, sized(LIMIT_BYTES + 1))
    assert (answer.status_code, answer.json()["error"]) == (413, "payload_too_large")


def test_a_chunked_body_above_the_cap_is_refused_while_it_arrives(client) -> None:
    answer = post(client, (b"x" * 1024 for _ in range(1024)))
    assert answer.status_code == 413


def test_a_body_without_an_end_is_refused(server) -> None:
    place = urlsplit(server)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
            b"400\r\n" + b"x" * 1024 + b"\r\n" + b"800\r\n" + b"x" * 2048 + b"\r\n"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_stalls_is_given_up(server, monkeypatch) -> None:
    monkeypatch.setattr(bodies, "PART_WAIT_S", 0.2)
    place = urlsplit(server)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(
            b"POST /v1/tasks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 100\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_a_compressed_body_is_never_unpacked(client) -> None:
    answer = post(client, b"\x1f\x8b", **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["details"]) == (415, {"header": "Content-Encoding"})


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "application/json; charset=utf-16", ""]
)
def test_a_body_that_does_not_say_it_is_json_is_refused(client, content_type) -> None:
    assert post(client, json.dumps(SEND), content_type).status_code == 415


def test_a_content_type_given_twice_is_refused(client) -> None:
    answer = client.post(
        "/v1/tasks",
        content=json.dumps(SEND),
        headers=[("Content-Type", "application/json"), ("Content-Type", "text/plain")],
    )
    assert answer.status_code == 415


def test_json_may_say_that_it_is_utf_8(client) -> None:
    assert post(client, json.dumps(SEND), 'application/json; charset="UTF-8"').status_code == 202


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe{\x00}\x00", b'{"a":1,"a":2}', b'{"a":NaN}'])
def test_a_body_that_is_no_json_is_refused(client, body) -> None:
    answer = post(client, body)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_json")
