"""Who may do what: tokens, their scopes, and their rotation."""

import logging
import os
from uuid import uuid4

import pytest

from gateway_harness import MAIL, calling, make_api, write_tokens
from laneway.services.gateway.tokens import VERBS
from laneway.tasks.errors import ConfigurationError
from redis_server import RedisServer

pytestmark = pytest.mark.broker

SEND = {"task": "notifications.send_email", "kwargs": MAIL}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "tokens.yaml"


def as_holder(client, secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def attempt(client, verb: str, headers: dict[str, str], task_id: str) -> int:
    """Try what a verb allows; the status."""
    content = {"params": {"user_id": "bob", "filename": "a.txt"}, "content": b"x"}
    method, path, more = {
        "submit": ("POST", "/v1/queues/notifications/tasks", {"json": SEND}),
        "read": ("GET", f"/v1/tasks/{task_id}", {}),
        "revoke": ("DELETE", f"/v1/tasks/{task_id}", {}),
        "upload": ("POST", "/v1/documents", content),
        "search": ("GET", "/v1/search?q=a", {}),
        "ops": ("GET", "/v1/queues/notifications/dead-letters", {}),
    }[verb]
    return client.request(method, path, headers=headers, **more).status_code


def test_a_token_does_what_its_verbs_hold_and_nothing_else(redis_server: RedisServer, file) -> None:
    secrets = write_tokens(file, **{verb: {"verbs": [verb]} for verb in VERBS})
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        submit = {"headers": as_holder(client, secrets["submit"]), "json": SEND}
        task_id = client.post("/v1/tasks", **submit).json()["task_id"]
        for held in VERBS:
            for tried in VERBS:
                status = attempt(client, tried, as_holder(client, secrets[held]), task_id)
                assert (status < 300) == (held == tried), (held, tried, status)
                assert held == tried or status == 403


def test_a_token_reaches_the_tasks_of_its_queues_alone(redis_server: RedisServer, file) -> None:
    verbs = ["submit", "read", "revoke", "ops"]
    secrets = write_tokens(
        file,
        mail={"verbs": verbs, "queues": ["notifications"]},
        docs={"verbs": verbs, "queues": ["documents"]},
        every={"verbs": verbs},
    )
    api = make_api(redis_server.url, gateway_tokens_file=file)
    with calling(api) as client:
        mail, docs, every = (as_holder(client, secrets[name]) for name in secrets)
        task_id = client.post("/v1/tasks", json=SEND, headers=mail).json()["task_id"]
        path = f"/v1/tasks/{task_id}"
        for headers, status in ((mail, 200), (every, 200), (docs, 403)):
            assert client.get(path, headers=headers).status_code == status
        assert client.get(f"{path}/events", headers=docs).status_code == 403
        assert client.delete(path, headers=docs).status_code == 403
        assert client.post("/v1/tasks", json=SEND, headers=docs).status_code == 403
        lane = "/v1/queues/notifications"
        assert client.post(f"{lane}/tasks", json=SEND, headers=docs).status_code == 403
        bulk = {"tasks": [SEND]}
        assert client.post(f"{lane}/tasks/bulk", json=bulk, headers=docs).status_code == 403
        assert client.get(lane, headers=docs).status_code == 403
        assert client.get(f"{lane}/dead-letters", headers=docs).status_code == 403
        seen = client.get("/v1/queues", headers=docs).json()["queues"]
        assert [one["queue"] for one in seen] == ["documents"]


@pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning")
def test_a_task_of_unknown_origin_is_for_tokens_of_every_queue(
    redis_server: RedisServer, file
) -> None:
    secrets = write_tokens(file, mail={"queues": ["notifications"]}, every={})
    api = make_api(redis_server.url, gateway_tokens_file=file)
    task_id = str(uuid4())
    with calling(api) as client:
        api.state.gateway.app.backend.store_result(task_id, 1, "SUCCESS")
        path = f"/v1/tasks/{task_id}"
        assert client.get(path, headers=as_holder(client, secrets["mail"])).status_code == 403
        assert client.get(path, headers=as_holder(client, secrets["every"])).status_code == 200


def test_two_owners_may_use_the_same_key(redis_server: RedisServer, file) -> None:
    secrets = write_tokens(file, one={}, two={})
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        ids = {
            client.post(
                "/v1/tasks",
                json=SEND,
                headers={**as_holder(client, secret), "Idempotency-Key": "k"},
            ).json()["task_id"]
            for secret in secrets.values()
        }
    assert len(ids) == 2


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer nonsense",
        "Basic dTpw",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \u00fc".encode(),
    ],
)
def test_without_a_known_token_nothing_is_served(redis_server: RedisServer, file, header) -> None:
    write_tokens(file, every={"verbs": list(VERBS)})
    headers = {} if header is None else {"Authorization": header}
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        for verb in VERBS:
            assert attempt(client, verb, headers, str(uuid4())) == 401
        answer = client.get("/v1/queues", headers=headers)
        assert answer.headers["www-authenticate"] == "Bearer"
        for public in ("/", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics"):
            assert client.get(public).status_code == 200


def test_tokens_change_without_a_restart(redis_server: RedisServer, file) -> None:
    old = write_tokens(file, one={})["one"]
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        assert client.get("/v1/queues", headers=as_holder(client, old)).status_code == 200
        new = write_tokens(file, two={})["two"]
        assert client.get("/v1/queues", headers=as_holder(client, old)).status_code == 401
        assert client.get("/v1/queues", headers=as_holder(client, new)).status_code == 200


def test_a_change_that_cannot_be_used_leaves_the_tokens_as_they_were(
    redis_server: RedisServer, file, caplog
) -> None:
    secret = write_tokens(file, one={})["one"]
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        for spoil in (lambda: file.write_text("- name: half"), file.unlink):
            spoil()
            with caplog.at_level(logging.ERROR):
                answer = client.get("/v1/queues", headers=as_holder(client, secret))
            assert answer.status_code == 200
            assert "stay as they were" in caplog.text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "no YAML list"),
        ("a: [", "no YAML list"),
        ("- 5", "entry 1"),
        ("- {name: a, sha256: x, queues: ['*'], verbs: [read]}", "entry 1 (a): sha256"),
        (f"- {{name: a, sha256: {'a' * 64}, queues: ['*'], verbs: [fly]}}", "verbs"),
        (f"- {{name: a, sha256: {'a' * 64}, queues: ['A b'], verbs: [read]}}", "queues"),
        (f"- {{name: a, sha256: {'a' * 64}, queues: ['*'], verbs: [read], x: 1}}", "x: Extra"),
        (f"- {{name: a, sha256: {'a' * 64}, queues: ['*'], verbs: [read]}}\n" * 2, "given twice"),
    ],
)
def test_a_tokens_file_that_cannot_be_used_stops_the_start(file, text, told) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        make_api("redis://127.0.0.1:1/0", gateway_tokens_file=file)
    assert told in str(caught.value)


def test_without_tokens_only_this_machine_is_let_in(redis_server: RedisServer) -> None:
    for bind in ("0.0.0.0:0", "[::]:0", "10.0.0.1:80", "example.org:80"):
        with pytest.raises(ConfigurationError, match="LANEWAY_GATEWAY_TOKENS_FILE"):
            make_api(redis_server.url, gateway_bind=bind)
    for bind in ("127.0.0.1:0", "[::1]:0", "localhost:0"):
        with calling(make_api(redis_server.url, gateway_bind=bind)) as client:
            assert client.get("/v1/queues").status_code == 200


def test_without_tokens_a_page_in_a_browser_is_kept_out(redis_server: RedisServer) -> None:
    with calling(make_api(redis_server.url)) as client:
        for headers in ({"Host": "evil.example.org"}, {"Sec-Fetch-Site": "cross-site"}):
            answer = client.get("/v1/queues", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (403, "foreign_host")


def test_a_tokens_file_that_is_a_link_rotates_as_kubernetes_does(
    redis_server: RedisServer, tmp_path
) -> None:
    file = tmp_path / "tokens.yaml"
    old = write_tokens(tmp_path / "1.yaml", one={})["one"]
    new = write_tokens(tmp_path / "2.yaml", one={})["one"]
    file.symlink_to(tmp_path / "1.yaml")
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        (tmp_path / "link").symlink_to(tmp_path / "2.yaml")
        os.replace(tmp_path / "link", file)  # noqa: PTH105
        assert client.get("/v1/queues", headers=as_holder(client, old)).status_code == 401
        assert client.get("/v1/queues", headers=as_holder(client, new)).status_code == 200


@pytest.mark.parametrize(("user_id", "status"), [("alice", 202), ("bob", 403), (["alice"], 403)])
def test_a_token_for_some_users_submits_for_them_alone(
    redis_server: RedisServer, file, user_id, status
) -> None:
    secrets = write_tokens(file, shop={"users": ["alice"]})
    task = {"task": "documents.process", "kwargs": {"file_path": "/a", "user_id": user_id}}
    with calling(make_api(redis_server.url, gateway_tokens_file=file)) as client:
        headers = as_holder(client, secrets["shop"])
        assert client.post("/v1/tasks", json=task, headers=headers).status_code == status
