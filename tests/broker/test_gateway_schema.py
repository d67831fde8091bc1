"""What the OpenAPI document says is what the gateway does, whatever is sent."""

import json
from itertools import chain

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings, strategies
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from gateway_harness import calling, make_api, write_tokens
from laneway.services.gateway.tokens import VERBS
from laneway.tasks.broker.keys import delayed, ready_lists
from redis_server import RedisServer

pytestmark = pytest.mark.broker

EXAMPLES = 30
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture
def tokens_file(tmp_path):
    return tmp_path / "tokens.yaml"


@pytest.fixture
def secret(tokens_file) -> str:
    return write_tokens(tokens_file, every={"verbs": list(VERBS)})["every"]


@pytest.fixture
def api(redis_server: RedisServer, tokens_file, secret, tmp_path):
    return make_api(
        redis_server.url,
        gateway_tokens_file=tokens_file,
        storage_url=(tmp_path / "store").as_uri(),
        document_limit_bytes=10_000,
        gateway_payload_limit_bytes=10_000,
    )


ENDLESS = "/v1/tasks/{task_id}/events"


def operations(api):
    """What takes input; a stream has no end to check."""
    for found in schemathesis.openapi.from_asgi("/openapi.json", api).get_all_operations():
        operation = found.ok()
        if operation.path != ENDLESS and operation.path.startswith("/v1/"):
            yield operation


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=strategies.data())
def keeps_its_word(operation, mode, secret, accepted, data) -> None:
    case = data.draw(operation.as_strategy(generation_mode=mode))
    response = case.call(headers={"Authorization": f"Bearer {secret}"})
    assert response.status_code < 500, response.text
    case.validate_response(response, checks=CHECKS)
    accepted.extend(accepted_ids(response))


def delayed_of(redis, lane: str) -> list[str]:
    """Records of what waits for its time: a head line, then the message."""
    return redis.zrange(delayed(lane), 0, -1)


def accepted_ids(response) -> list[str]:
    """The tasks that an answer says are queued."""
    if response.status_code not in (202, 207) or response.request.method != "POST":
        return []
    body = response.json()
    answers = [one["accepted"] or {} for one in body["tasks"]] if "tasks" in body else [body]
    return [answer["task_id"] for answer in answers if answer.get("task_id")]


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_request_makes_the_gateway_fail_or_break_its_word(
    subtests, api, secret, mode, redis_server: RedisServer
) -> None:
    accepted: list[str] = []
    checked = 0
    for operation in operations(api):
        with subtests.test(operation.label):
            keeps_its_word(operation, mode, secret, accepted)
        checked += 1
    assert checked == 15
    with redis_server.client() as redis:
        lanes = list(api.state.gateway.app.catalogue)
        ready = [redis.lrange(name, 0, -1) for lane in lanes for name in ready_lists(lane)]
        waiting = [
            record.partition("\n")[2] for lane in lanes for record in delayed_of(redis, lane)
        ]
        queued = list(map(json.loads, chain(*ready, waiting)))
    assert {message["headers"]["id"] for message in queued} == set(accepted)
    assert len(queued) == len(set(accepted))
    assert accepted or mode is GenerationMode.NEGATIVE


def test_the_document_is_valid_and_knows_every_task(api) -> None:
    document = api.openapi()
    validate(document)
    schemas = document["components"]["schemas"]
    assert set(schemas["Submit"]["discriminator"]["mapping"]) == {
        "documents.process",
        "documents.embed",
        "notifications.send_email",
        "rag.index_collection",
    }
    assert schemas["Payload.notifications.send_email"]["required"] == ["to", "subject", "body"]
    submit = document["paths"]["/v1/tasks"]["post"]
    assert submit["security"] == [{"HTTPBearer": []}]
    assert {"400", "401", "403", "404", "409", "413", "422", "429", "503"} <= set(
        submit["responses"]
    )


def test_the_page_tells_the_tasks_and_their_fields(api) -> None:
    with calling(api) as client:
        page = client.get("/").text
    assert "<code>to, subject, body</code>" in page
    assert "<code>file_path, user_id, [priority], [collection]</code>" in page


def test_the_page_loads_nothing_from_elsewhere(api) -> None:
    with calling(api) as client:
        for path in ("/", "/docs"):
            answer = client.get(path)
            assert answer.headers["content-type"].startswith("text/html")
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "http://" not in answer.text
            assert "https://" not in answer.text
            assert "<script" not in answer.text
            for endpoint in api.openapi()["paths"]:
                assert endpoint in answer.text
