"""Redis is gone, or does not answer: everybody hears it, soon, and nothing half-done is left."""

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from gateway_harness import MAIL, make_api, serving
from redis_server import RedisServer, running_redis

pytestmark = pytest.mark.broker

SEND = {"task": "notifications.send_email", "kwargs": MAIL}
TIMEOUT_S = 0.5
ENOUGH_S = 15.0
"""Far more than any time-out here, and far less than one request after the other would take."""


@pytest.fixture
def own_redis(tmp_path):
    with running_redis(tmp_path / "own") as server:
        yield server


@pytest.fixture
def client(own_redis):
    api = make_api(own_redis.url, broker_timeout_s=TIMEOUT_S)
    with (
        serving(api) as url,
        httpx2.Client(
            base_url=url, timeout=60, limits=httpx2.Limits(max_connections=200)
        ) as client,
    ):
        yield client


def every_call(client):
    lane = "/v1/queues/notifications"
    yield client.post("/v1/tasks", json=SEND)
    yield client.post(f"{lane}/tasks", json=SEND, headers={"Idempotency-Key": "k"})
    yield client.get("/v1/tasks/an-id")
    yield client.get("/v1/tasks/an-id/events")
    yield client.delete("/v1/tasks/an-id")
    yield client.get("/v1/queues")
    yield client.get(lane)
    yield client.get(f"{lane}/dead-letters")


def check_away(client) -> None:
    for answer in every_call(client):
        assert (answer.status_code, answer.json()["error"]) == (503, "broker_unavailable")
        assert int(answer.headers["retry-after"]) > 0
        assert "redis://" not in answer.text
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200
    assert "laneway_broker_up 0.0" in client.get("/metrics").text


def check_back(client) -> None:
    until_s = time.monotonic() + ENOUGH_S
    while client.get("/readyz").status_code != 200:
        assert time.monotonic() < until_s
        time.sleep(0.1)
    while (answer := client.post("/v1/tasks", json=SEND)).status_code == 503:
        assert time.monotonic() < until_s
        time.sleep(0.1)
    assert answer.status_code == 202


def test_a_redis_that_is_gone_and_comes_back(client, own_redis: RedisServer) -> None:
    assert client.post("/v1/tasks", json=SEND).status_code == 202
    own_redis.kill()
    check_away(client)
    own_redis.start()
    check_back(client)


def test_a_redis_that_is_frozen_and_thaws(client, own_redis: RedisServer) -> None:
    assert client.post("/v1/tasks", json=SEND).status_code == 202
    own_redis.freeze()
    try:
        check_away(client)
    finally:
        own_redis.thaw()
    check_back(client)


def test_a_crowd_in_front_of_a_frozen_redis_is_answered_together(
    client, own_redis: RedisServer
) -> None:
    own_redis.freeze()
    try:
        began_s = time.monotonic()
        with ThreadPoolExecutor(120) as pool:
            statuses = list(
                pool.map(lambda _: client.post("/v1/tasks", json=SEND).status_code, range(240))
            )
        took_s = time.monotonic() - began_s
    finally:
        own_redis.thaw()
    assert set(statuses) == {503}
    assert took_s < ENOUGH_S


def test_a_bulk_in_front_of_a_frozen_redis_asks_it_once(client, own_redis: RedisServer) -> None:
    own_redis.freeze()
    try:
        began_s = time.monotonic()
        path = "/v1/queues/notifications/tasks/bulk"
        answer = client.post(path, json={"tasks": [SEND] * 200})
        took_s = time.monotonic() - began_s
    finally:
        own_redis.thaw()
    assert {one["error"] for one in answer.json()["tasks"]} == {"broker_unavailable"}
    assert took_s < ENOUGH_S
