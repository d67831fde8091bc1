"""A task's state over HTTP, its events, and calling it off."""

import base64
import json
import threading
import time
from uuid import uuid4

import httpx2
import pytest

from gateway_harness import MAIL, serving
from laneway.services.gateway import events
from laneway.services.gateway.events import EventStreams
from laneway.tasks.broker.revocations import remembered
from redis_server import RedisServer

pytestmark = [
    pytest.mark.broker,
    # Celery's own result backend still calls it.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

SEND = {"task": "notifications.send_email", "kwargs": MAIL}


@pytest.fixture
def server(api):
    with serving(api) as url:
        yield url


def submit(url_or_client) -> str:
    post = httpx2.post if isinstance(url_or_client, str) else url_or_client.post
    base = url_or_client if isinstance(url_or_client, str) else ""
    return post(f"{base}/v1/queues/notifications/tasks", json=SEND).json()["task_id"]


def store(api, task_id: str, state: str, result) -> None:
    """What a worker does."""
    api.state.gateway.app.backend.store_result(task_id, result, state)


def followed(lines):
    """The events of a stream as (id, state)."""
    found = []
    for line in lines:
        if line.startswith("id: "):
            found.append([line[4:], None])
        if line.startswith("data: "):
            found[-1][1] = json.loads(line[6:])["state"]
    return found


def test_a_state_of_the_task_is_its_progress(api, client) -> None:
    task_id = submit(client)
    store(api, task_id, "SENDING", {"to": "a@example.org"})
    answer = client.get(f"/v1/tasks/{task_id}").json()
    assert (answer["state"], answer["final"]) == ("SENDING", False)
    assert answer["progress"] == {"to": "a@example.org"}
    assert (answer["queue"], answer["task"]) == ("notifications", "notifications.send_email")


def test_a_result_is_answered_even_if_json_cannot_carry_it(api, client) -> None:
    task_id = submit(client)
    store(api, task_id, "SUCCESS", {"score": float("nan"), "text": "half \ud800 pair"})
    answer = client.get(f"/v1/tasks/{task_id}")
    assert answer.json()["result"] == {"score": None, "text": "half ? pair"}
    assert answer.json()["final"] is True


def test_an_error_is_answered_by_type_and_text(api, client) -> None:
    task_id = submit(client)
    store(api, task_id, "FAILURE", ValueError("no"))
    answer = client.get(f"/v1/tasks/{task_id}").json()
    assert (answer["state"], answer["error"], answer["result"]) == (
        "FAILURE",
        "ValueError: no",
        None,
    )


def test_an_id_that_nobody_knows_is_not_found(client) -> None:
    answer = client.get(f"/v1/tasks/{uuid4()}")
    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_task_id")
    assert client.delete(f"/v1/tasks/{uuid4()}").status_code == 404
    assert client.get(f"/v1/tasks/{uuid4()}/events").status_code == 404


def test_an_id_that_cannot_be_one_is_refused(client) -> None:
    assert client.get("/v1/tasks/%0d%0a").status_code == 422
    assert client.get(f"/v1/tasks/{'x' * 256}").status_code == 422


def test_a_revocation_is_remembered_and_told_to_workers(client, redis) -> None:
    task_id = submit(client)
    with redis.pubsub(ignore_subscribe_messages=True) as told:
        told.psubscribe("*celery.pidbox*")
        told.get_message(timeout=5)
        answer = client.delete(f"/v1/tasks/{task_id}?terminate=true")
        body = json.loads(told.get_message(timeout=5)["data"])["body"]
    assert answer.status_code == 202
    assert answer.json() == {"task_id": task_id, "state": "PENDING", "terminate": True}
    order = json.loads(base64.b64decode(body))
    assert (order["method"], order["arguments"]["terminate"]) == ("revoke", True)
    assert order["arguments"]["task_id"] == task_id
    assert remembered(redis) == [task_id]


def test_a_task_that_has_ended_is_not_revoked(api, client, redis) -> None:
    task_id = submit(client)
    store(api, task_id, "SUCCESS", 1)
    assert client.delete(f"/v1/tasks/{task_id}").json()["state"] == "SUCCESS"
    assert remembered(redis) == []


def test_events_tell_each_state_and_end_with_the_final_one(api, server) -> None:
    task_id = submit(server)
    steps = iter([("STARTED", {"pid": 1}), ("SENDING", {"to": "a"}), ("SUCCESS", {"n": 1})])
    states = []
    with httpx2.stream("GET", f"{server}/v1/tasks/{task_id}/events", timeout=20) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("data: "):
                states.append(json.loads(line[6:])["state"])
                if states[-1] != "SUCCESS":
                    state, meta = next(steps)
                    store(api, task_id, state, meta)
    assert states == ["PENDING", "STARTED", "SENDING", "SUCCESS"]


def test_who_comes_back_is_not_told_the_same_state_again(api, server) -> None:
    task_id = submit(server)
    store(api, task_id, "STARTED", {"pid": 1})
    url = f"{server}/v1/tasks/{task_id}/events"
    with httpx2.stream("GET", url, timeout=20) as stream:
        seen = next(line[4:] for line in stream.iter_lines() if line.startswith("id: "))

    threading.Timer(0.2, store, (api, task_id, "SUCCESS", 1)).start()
    with httpx2.stream("GET", url, headers={"Last-Event-ID": seen}, timeout=20) as stream:
        (final,) = followed(stream.iter_lines())
    assert final[1] == "SUCCESS"
    again = httpx2.get(url, headers={"Last-Event-ID": final[0]})
    assert again.status_code == 204
    assert httpx2.get(url, headers={"Last-Event-ID": "nonsense"}).status_code == 200


def test_a_stream_outlives_a_redis_that_comes_back(redis_server: RedisServer, api, server) -> None:
    task_id = submit(server)
    with httpx2.stream("GET", f"{server}/v1/tasks/{task_id}/events", timeout=30) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("data: "))
        redis_server.kill()
        redis_server.start()
        store(api, task_id, "SUCCESS", 1)
        assert [state for _, state in followed(lines)] == ["SUCCESS"]


def test_a_quiet_stream_shows_that_it_is_alive(api, server, monkeypatch) -> None:
    monkeypatch.setattr(events, "HEARTBEAT_S", 0.0)
    task_id = submit(server)
    with httpx2.stream("GET", f"{server}/v1/tasks/{task_id}/events", timeout=20) as stream:
        assert ": alive" in (line for line in stream.iter_lines())


def test_streams_are_bounded(api, server) -> None:
    api.state.gateway.streams = EventStreams(api.state.gateway.settings, most=1)
    task_id = submit(server)
    url = f"{server}/v1/tasks/{task_id}/events"
    with httpx2.stream("GET", url, timeout=20) as stream:
        lines = stream.iter_lines()
        next(lines)
        refused = httpx2.get(url)
        assert (refused.status_code, refused.json()["error"]) == (503, "too_many_streams")
        del lines
    until_s = time.monotonic() + 10
    store(api, task_id, "SUCCESS", 1)
    while httpx2.get(url).status_code != 200:  # the place is free once the first has gone
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_queues_tell_what_they_hold_and_what_holds_on_them(client, redis) -> None:
    submit(client)
    lanes = {lane["queue"]: lane for lane in client.get("/v1/queues").json()["queues"]}
    assert set(lanes) == {"high-priority", "documents", "notifications"}
    lane = lanes["notifications"]
    assert [lane[state] for state in ("ready", "in_flight", "delayed", "dead")] == [1, 0, 0, 0]
    assert (lane["concurrency"], lane["wait_target_s"], lane["max_length"]) == (4, 30, 1_000_000)
    assert lane["tasks"] == ["notifications.send_email"]
    assert client.get("/v1/queues/notifications").json() == lane
    assert client.get("/v1/queues/nope").json()["error"] == "unknown_queue"
