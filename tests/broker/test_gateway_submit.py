"""Submitting over HTTP, against a real Redis."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway_harness import MAIL, calling, make_api
from laneway.observability.spans import Tracer
from laneway.tasks.broker import keys

pytestmark = pytest.mark.broker

SEND = {"task": "notifications.send_email", "kwargs": MAIL}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
INDEX = {"task": "rag.index_collection", "kwargs": {"collection": "c"}}


def post(client, body, path="/v1/queues/notifications/tasks", **headers):
    content = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(
        path, content=content, headers={"Content-Type": "application/json", **headers}
    )


def test_an_accepted_task_is_in_its_lane_and_has_an_address(client, redis) -> None:
    answer = post(client, {**SEND, "durability": "replica", "expires": 600})

    assert answer.status_code == 202
    accepted = answer.json()
    assert answer.headers["location"] == f"/v1/tasks/{accepted['task_id']}"
    assert accepted["queue"] == "notifications"
    assert accepted["task"] == "notifications.send_email"
    assert accepted["replayed"] is False
    reason = accepted["durability"].pop("reason")
    assert reason.startswith("no replica had it within")
    assert accepted["durability"] == {"requested": "replica", "level": "memory", "replicas": 0}
    (message,) = redis.lrange("notifications", 0, -1)
    assert json.loads(message)["headers"]["id"] == accepted["task_id"]
    assert client.get(answer.headers["location"]).json()["state"] == "PENDING"


def test_without_a_queue_a_task_goes_home(client, redis) -> None:
    assert post(client, INDEX, "/v1/tasks").json()["queue"] == "documents"
    urgent = {
        "task": "documents.process",
        "kwargs": {"file_path": "/a", "user_id": "u", "priority": "high"},
    }
    assert post(client, urgent, "/v1/tasks").json()["queue"] == "high-priority"
    assert redis.llen("documents") == redis.llen("high-priority") == 1


def test_a_trace_of_the_caller_travels_with_the_task(client, redis) -> None:
    post(client, SEND, traceparent=PARENT)
    (message,) = redis.lrange("notifications", 0, -1)
    assert json.loads(message)["headers"]["traceparent"] == PARENT


def test_a_submit_is_a_part_of_its_caller_s_trace(redis_server, redis) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    api = make_api(redis_server.url, Tracer(provider.get_tracer("test")))
    with calling(api) as client:
        post(client, SEND, traceparent=PARENT)
    send, submit = exporter.get_finished_spans()
    assert (send.name, submit.name) == ("send notifications", "submit notifications.send_email")
    assert format(submit.parent.span_id, "016x") == PARENT.split("-")[2]
    assert send.parent.span_id == submit.context.span_id
    (message,) = redis.lrange("notifications", 0, -1)
    carried = json.loads(message)["headers"]["traceparent"].split("-")
    assert carried[1:3] == [PARENT.split("-")[1], format(send.context.span_id, "016x")]


def test_the_same_key_answers_the_same_task(client, redis) -> None:
    first = post(client, SEND, **{"Idempotency-Key": "k"}).json()
    by_body = post(client, {**SEND, "idempotency_key": "k"}).json()
    assert (by_body["task_id"], by_body["replayed"]) == (first["task_id"], True)
    assert redis.llen("notifications") == 1


def test_the_same_key_for_another_body_is_a_conflict(client, redis) -> None:
    post(client, SEND, **{"Idempotency-Key": "k"})
    other = {**SEND, "kwargs": {**MAIL, "subject": "other"}}
    answer = post(client, other, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["error"]) == (409, "idempotency_conflict")
    assert redis.llen("notifications") == 1


def test_of_200_equal_keys_at_once_one_message_is_queued(client, redis) -> None:
    with ThreadPoolExecutor(40) as pool:
        answers = list(
            pool.map(lambda _: post(client, SEND, **{"Idempotency-Key": "k"}), range(200))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert [answer.json()["replayed"] for answer in answers].count(False) == 1
    assert redis.llen("notifications") == 1


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\there"])
def test_a_key_is_1_to_255_printable_characters(client, key) -> None:
    assert post(client, {**SEND, "idempotency_key": key}).status_code == 422
    assert post(client, SEND, **{"Idempotency-Key": key}).status_code == 422


def test_two_different_keys_in_one_request_are_refused(client) -> None:
    answer = post(client, {**SEND, "idempotency_key": "a"}, **{"Idempotency-Key": "b"})
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "refusal", "told"),
    [
        ("/v1/tasks", {"task": "a.b"}, (404, "unknown_task"), "notifications.send_email"),
        ("/v1/queues/nope/tasks", SEND, (404, "unknown_queue"), "high-priority"),
        ("/v1/queues/%2e%2e%2fx/tasks", SEND, (404, "not_found"), "GET /"),
        ("/v1/queues/q%06%163/tasks", SEND, (404, "unknown_queue"), "documents"),
        ("/v1/queues/a%0d%0aDEL%20x/tasks", SEND, (404, "unknown_queue"), "documents"),
        ("/v1/queues/*/tasks", SEND, (404, "unknown_queue"), "documents"),
        ("/v1/queues/documents/tasks", SEND, (422, "task_not_admitted"), "notifications"),
        (
            "/v1/tasks",
            {**SEND, "kwargs": {**MAIL, "to": "x"}},
            (422, "invalid_payload"),
            "to: Value error, must be one e-mail address",
        ),
        ("/v1/tasks", {**SEND, "kwargs": {}}, (422, "invalid_payload"), "subject: Field required"),
        ("/v1/tasks", {**SEND, "colour": 1}, (422, "invalid_request"), "colour: Extra inputs"),
        ("/v1/tasks", {**SEND, "__proto__": {}}, (422, "invalid_request"), "__proto__"),
    ],
)
def test_what_cannot_run_is_refused_with_its_cure(client, redis, path, body, refusal, told) -> None:
    answer = post(client, body, path)
    assert (answer.status_code, answer.json()["error"]) == refusal
    assert told in answer.json()["message"]
    assert not redis.keys("*")


@pytest.mark.parametrize(
    "fields",
    [
        {"countdown": -1},
        {"countdown": True},
        {"countdown": "5"},
        {"countdown": 1e12},
        {"countdown": 5, "eta": "2100-01-01T00:00:00Z"},
        {"eta": -1},
        {"eta": 1_900_000_000},
        {"eta": "1900000000"},
        {"eta": "9999-12-31T23:59:59Z"},
        {"eta": "1999-01-01T00:00:00Z"},
        {"eta": "2030-01-01T00:00:00"},
        {"eta": "2030-01-01T00:00:00+99:99"},
        {"expires": 0},
        {"expires": "2001-01-01T00:00:00Z"},
        {"countdown": 60, "expires": 30},
        {"priority": 10},
        {"priority": -1},
        {"priority": 1.5},
        {"priority": True},
        {"durability": "paper"},
        {"task": ""},
        {"task": "x" * 256},
        {"task": 5},
        {"kwargs": []},
        {"kwargs": None},
    ],
)
def test_an_option_out_of_its_range_is_refused(client, redis, fields) -> None:
    answer = post(client, {**SEND, **fields})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid_request")
    assert not redis.keys("*")


def test_a_delay_is_kept(client, redis) -> None:
    assert post(client, {**SEND, "countdown": 30, "priority": 9}).status_code == 202
    (record,) = redis.zrange(keys.delayed("notifications"), 0, -1)
    head, _, message = record.partition("\n")
    assert head.split()[2] == "4"  # the lowest of the priority lists
    assert json.loads(message)["headers"]["eta"]


def test_a_lane_that_is_full_says_when_to_come_back(redis_server, redis, tmp_path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("queues:\n  notifications: {maxLength: 1}\n")
    with calling(make_api(redis_server.url, queues_file=file)) as client:
        assert post(client, SEND).status_code == 202
        answer = post(client, SEND)
        assert (answer.status_code, answer.json()["error"]) == (429, "lane_full")
        assert int(answer.headers["retry-after"]) > 0
        assert redis.llen("notifications") == 1


def test_a_redis_near_its_memory_limit_says_when_to_come_back(redis_server, redis) -> None:
    redis.config_set("maxmemory", "100mb")
    try:
        api = make_api(redis_server.url, broker_memory_watermark=0.001)
        with calling(api) as client:
            answer = post(client, SEND)
    finally:
        redis.config_set("maxmemory", "0")
    assert (answer.status_code, answer.json()["error"]) == (503, "broker_full")
    assert int(answer.headers["retry-after"]) > 0
    assert not redis.llen("notifications")


def test_a_bulk_of_good_tasks_is_accepted_whole(client, redis) -> None:
    answer = post(client, {"tasks": [SEND] * 20}, "/v1/queues/notifications/tasks/bulk")
    assert answer.status_code == 202
    assert answer.json()["accepted"] == redis.llen("notifications") == 20


def test_a_bulk_answers_each_task_in_its_order(client, redis) -> None:
    tasks = [SEND, {"task": "a.b"}, 5, {**SEND, "priority": 99}, INDEX, SEND]
    answer = post(client, {"tasks": tasks}, "/v1/queues/notifications/tasks/bulk")
    assert answer.status_code == 207
    found = answer.json()
    assert [one["status"] for one in found["tasks"]] == [202, 404, 422, 422, 422, 202]
    assert (found["accepted"], found["refused"]) == (2, 4)
    assert redis.llen("notifications") == 2


def test_a_bulk_with_a_key_can_be_sent_again(client, redis) -> None:
    path = "/v1/queues/notifications/tasks/bulk"
    first, second = (
        post(client, {"tasks": [SEND] * 3}, path, **{"Idempotency-Key": "k"}).json()["tasks"]
        for _ in range(2)
    )
    assert [one["accepted"]["task_id"] for one in first] == [
        one["accepted"]["task_id"] for one in second
    ]
    assert redis.llen("notifications") == 3


def test_a_bulk_has_bounds(redis_server, redis) -> None:
    path = "/v1/queues/notifications/tasks/bulk"
    api = make_api(redis_server.url, gateway_bulk_limit=2, gateway_payload_limit_bytes=1024)
    with calling(api) as client:
        assert post(client, {"tasks": []}, path).status_code == 422
        assert post(client, {"tasks": [SEND] * 3}, path).json()["error"] == "bulk_too_large"
        large = {**SEND, "kwargs": {**MAIL, "body": "x" * 1024}}
        assert [
            one["status"] for one in post(client, {"tasks": [SEND, large]}, path).json()["tasks"]
        ] == [202, 413]
        huge = {**SEND, "kwargs": {**MAIL, "body": "x" * 16 * 1024}}
        assert post(client, {"tasks": [huge]}, path).status_code == 413


def test_requests_and_publishes_are_counted(client) -> None:
    post(client, SEND)
    client.get("/v1/tasks/nope")
    client.get("/somewhere")
    text = client.get("/metrics").text
    route = "/v1/queues/{queue}/tasks"
    assert f'laneway_http_requests_total{{method="POST",route="{route}",status="202"}} 1.0' in text
    assert 'method="GET",route="/v1/tasks/{task_id}",status="404"} 1.0' in text
    assert 'route="none",status="404"} 1.0' in text
    assert 'queue="notifications",result="ok",task="notifications.send_email"' in text
    assert 'laneway_queue_depth{priority="0",queue="notifications"} 1.0' in text
    assert (
        "openmetrics-text"
        in (
            client.get("/metrics", headers={"Accept": "application/openmetrics-text"}).headers[
                "content-type"
            ]
        )
    )
