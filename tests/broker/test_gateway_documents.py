"""Documents over HTTP: uploads, and the search."""

import hashlib
import json
from pathlib import Path

import httpx2
import pytest

from gateway_harness import calling, make_api, serving, write_tokens
from laneway.tasks.documents import uploads
from laneway.tasks.errors import (
    EmbeddingError,
    EmbeddingMismatch,
    EmbeddingUnavailable,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
)
from laneway.tasks.rag import search
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LIMIT_BYTES = 100_000
CONTENT = bytes(range(256)) * 300


@pytest.fixture
def store(tmp_path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def api(redis_server: RedisServer, store):
    url = store.as_uri()
    return make_api(redis_server.url, storage_url=url, document_limit_bytes=LIMIT_BYTES)


def files_below(store: Path) -> list[Path]:
    return [path for path in store.rglob("*") if path.is_file()]


def form(content: bytes, name: str = "a.txt") -> dict[str, object]:
    return {"file": (name, content)}


def test_a_raw_body_is_stored(client, store) -> None:
    answer = client.post("/v1/documents?user_id=bob&filename=a.txt", content=CONTENT)
    assert answer.status_code == 201
    stored = answer.json()
    assert Path(stored["file_path"]).read_bytes() == CONTENT
    assert stored["size_bytes"] == len(CONTENT)
    assert stored["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert stored["task_id"] is None


def test_a_form_with_one_file_is_stored(client) -> None:
    stored = client.post("/v1/documents?user_id=bob", files=form(CONTENT, "Ünï\r\n../x.pdf")).json()
    assert Path(stored["file_path"]).read_bytes() == CONTENT
    assert Path(stored["file_path"]).parent.name == "bob"
    assert stored["file_path"].endswith("x.pdf")


def test_a_stored_document_can_be_processed_at_once(client, redis) -> None:
    query = "user_id=bob&filename=a.txt&process=true&collection=notes&priority=high"
    answer = client.post(f"/v1/documents?{query}", content=CONTENT)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/tasks/{answer.json()['task_id']}"
    assert answer.json()["queue"] == "high-priority"
    (message,) = redis.lrange("high-priority", 0, -1)
    assert json.loads(message)["headers"]["task"] == "documents.process"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("filename=a.txt", "user_id"),
        ("user_id=../x&filename=a.txt", "user_id"),
        ("user_id=bob&filename=a.txt&proces=true", "proces"),
        ("user_id=bob&filename=a.txt&process=true&collection=A%20b", "collection"),
        ("user_id=bob", "?filename=NAME"),
    ],
)
def test_an_upload_that_does_not_say_what_it_is_stores_nothing(client, store, query, told) -> None:
    answer = client.post(f"/v1/documents?{query}", content=CONTENT)
    assert answer.status_code == 422
    assert told in answer.json()["message"]
    assert files_below(store) == []


def test_an_empty_document_is_refused(client, store) -> None:
    for body in ({"content": b""}, {"files": form(b"")}):
        answer = client.post("/v1/documents?user_id=bob&filename=a.txt", **body)
        assert (answer.status_code, answer.json()["error"]) == (422, "empty_document")
    assert files_below(store) == []


@pytest.mark.parametrize("parts", [1, 200])
def test_an_upload_above_the_cap_leaves_nothing_behind(api, store, parts) -> None:
    size = (LIMIT_BYTES + 20_000) // parts * parts
    content = b"x" * size if parts == 1 else (b"x" * (size // parts) for _ in range(parts))
    with serving(api) as url:
        path = f"{url}/v1/documents?user_id=bob&filename=a.txt"
        answer = httpx2.post(path, content=content, timeout=30)
    assert (answer.status_code, answer.json()["error"]) == (413, "document_too_large")
    assert files_below(store) == []


def test_an_upload_whose_sender_leaves_is_forgotten(api, store) -> None:
    def broken():
        yield b"x" * 1000
        raise ConnectionAbortedError

    with serving(api) as url:
        path = f"{url}/v1/documents?user_id=bob&filename=a.txt"
        with pytest.raises(ConnectionAbortedError):
            httpx2.post(path, content=broken())
        assert httpx2.get(f"{url}/livez").status_code == 200
    assert files_below(store) == []


MULTIPART = {"Content-Type": "multipart/form-data; boundary=B"}
FILE = 'Content-Disposition: form-data; name="file"; filename="a"'


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (f"--B\r\n{FILE}\r\n\r\nhalf", 400, "invalid_multipart"),
        ("nothing of the kind", 400, "invalid_multipart"),
        ("", 400, "invalid_multipart"),
        (f"--B\r\n{FILE}\r\n\r\nx\r\n--B\r\n{FILE}\r\n\r\ny\r\n--B--\r\n", 422, "too_many_parts"),
        (
            '--B\r\nContent-Disposition: form-data; name="user_id"\r\n\r\nx\r\n--B--\r\n',
            422,
            "unexpected_form_field",
        ),
        (f"--B\r\n{'X: y' * 10_000}\r\n\r\nx\r\n--B--\r\n", 400, "invalid_multipart"),
    ],
)
def test_a_form_that_is_no_single_file_is_refused(client, store, body, status, error) -> None:
    answer = client.post("/v1/documents?user_id=bob", content=body, headers=MULTIPART)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert files_below(store) == []


@pytest.mark.parametrize("name", ["文書.txt", "résumé.txt"])
def test_a_name_in_any_script_made_the_gateway_fail(client, store, name) -> None:
    form = f'--B\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\nx\r\n--B--\r\n'
    answer = client.post("/v1/documents?user_id=bob", content=form.encode(), headers=MULTIPART)
    assert answer.status_code < 300, answer.text
    assert len(files_below(store)) == 1


@pytest.mark.parametrize("raw", [b"\xff\xfe.txt", "\U0001f600".encode("utf-16")])
def test_a_name_that_is_no_text_does_not_make_the_gateway_fail(client, raw) -> None:
    form = (
        b'--B\r\nContent-Disposition: form-data; name="file"; filename="%s"\r\n\r\nx\r\n--B--\r\n'
    )
    answer = client.post("/v1/documents?user_id=bob", content=form % raw, headers=MULTIPART)
    assert answer.status_code < 500, answer.text


def test_a_form_without_a_boundary_is_refused(client) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    answer = client.post("/v1/documents?user_id=bob", content=b"x", headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_multipart")


@pytest.mark.parametrize(
    ("fault", "status", "error"),
    [
        (StorageFull, 507, "storage_full"),
        (StorageReadOnly, 503, "storage_refused"),
        (StorageUnavailable, 503, "storage_unavailable"),
    ],
)
def test_the_store_s_answer_is_passed_on_without_its_whereabouts(
    client, monkeypatch, fault, status, error
) -> None:
    def refuse(*_: object) -> None:
        raise fault("no space at s3://secret-bucket" if fault is not StorageFull else "full")

    monkeypatch.setattr(uploads, "_store_file", refuse)
    answer = client.post("/v1/documents?user_id=bob&filename=a.txt", content=CONTENT)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert "secret-bucket" not in answer.text


def test_a_stored_document_is_named_when_its_task_is_refused(redis_server, store, tmp_path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("queues:\n  documents: {maxLength: 1}\n")
    api = make_api(redis_server.url, storage_url=store.as_uri(), queues_file=file)
    path = "/v1/documents?user_id=bob&filename=a.txt&process=true"
    with calling(api) as client:
        assert client.post(path, content=CONTENT).status_code == 202
        answer = client.post(path, content=CONTENT)
    assert (answer.status_code, answer.json()["error"]) == (429, "lane_full")
    assert Path(answer.json()["details"]["file_path"]).read_bytes() == CONTENT


def test_a_collection_that_is_not_there_has_no_hits(client) -> None:
    assert client.get("/v1/search?q=bees&collection=none").json() == {"hits": []}


def test_hits_are_answered_best_first(client, monkeypatch) -> None:
    hit = search.Hit(file_path="/a", user_id="bob", ordinal=3, text="bees", score=0.5)
    monkeypatch.setattr(search, "search", lambda *_: [hit])
    assert client.get("/v1/search?q=bees").json()["hits"] == [
        {"file_path": "/a", "user_id": "bob", "ordinal": 3, "text": "bees", "score": 0.5}
    ]


@pytest.mark.parametrize(
    "query", ["", "q=", "q=a&limit=0", "q=a&limit=101", "q=a&collection=..", "q=a&users=b"]
)
def test_a_search_that_is_not_valid_is_refused(client, query) -> None:
    assert client.get(f"/v1/search?{query}").status_code == 422


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (EmbeddingMismatch("m"), 409),
        (EmbeddingUnavailable("m"), 503),
        (EmbeddingError("m"), 503),
        (ImportError("m", name="lancedb"), 503),
    ],
)
def test_a_search_that_cannot_be_served_says_why(client, monkeypatch, fault, status) -> None:
    def refuse(*_: object) -> None:
        raise fault

    monkeypatch.setattr(search, "search", refuse)
    assert client.get("/v1/search?q=a").status_code == status


def test_a_token_for_some_users_neither_uploads_nor_searches_for_others(
    redis_server, store, tmp_path
) -> None:
    file = tmp_path / "tokens.yaml"
    secrets = write_tokens(
        file, bob={"verbs": ["upload", "search"], "users": ["bob"], "queues": ["documents"]}
    )
    api = make_api(redis_server.url, storage_url=store.as_uri(), gateway_tokens_file=file)
    with calling(api, secrets["bob"]) as client:
        upload = "/v1/documents?filename=a.txt&user_id="
        assert client.post(f"{upload}bob", content=CONTENT).status_code == 201
        assert client.post(f"{upload}eve", content=CONTENT).status_code == 403
        assert client.get("/v1/search?q=a&user_id=bob").status_code == 200
        assert client.get("/v1/search?q=a&user_id=eve").status_code == 403
        assert client.get("/v1/search?q=a").status_code == 403
        refused = client.post(f"{upload}bob&process=true", content=CONTENT)
        assert (refused.status_code, len(files_below(store))) == (403, 1)
