"""The whole path of a document, and what a repeat, a change and a limit do to it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.embed import embed_chunks, embed_texts
from laneway.tasks.documents.embedders import embedder_for
from laneway.tasks.documents.local_embedder import LocalEmbedder
from laneway.tasks.documents.process import process_document
from laneway.tasks.documents.uploads import store_upload
from laneway.tasks.documents.vectors import Match, Question, vector_store
from laneway.tasks.errors import (
    DocumentNotFound,
    EmbeddingMismatch,
    EmbeddingUnavailable,
    PathNotAllowed,
)
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit


def sentences(word: str, count: int) -> str:
    """Text of `count` chunks of 200 characters at most."""
    return "\n\n".join(f"{word} number {n} " + "turns and " * 15 for n in range(count))


@pytest.fixture
def document(inbox: Path) -> Path:
    path = inbox / "a.txt"
    path.write_text(sentences("lamp", 10))
    return path


@pytest.fixture
def key(document: Path) -> DocumentKey:
    return DocumentKey("ann", "default", str(document))


def ignore(_meta: dict[str, Any]) -> None:
    """Take a report and do nothing."""


def stored(settings: Settings, text: str = "lamp") -> list[Match]:
    embedder = embedder_for(settings)
    (vector,) = embedder.embed([text])
    return vector_store(settings).search(
        "default", Question(text, vector, embedder.model, limit=1_000)
    )


def test_a_document_is_stored_and_every_step_reported(settings: Settings, key: DocumentKey) -> None:
    reports: list[dict[str, Any]] = []
    result = process_document(settings, key, reports.append)
    assert result == {
        "file_path": key.file_path,
        "chunk_count": 10,
        "user_id": "ann",
        "collection": "default",
        "status": "indexed",
    }
    assert sorted(match.ordinal for match in stored(settings)) == list(range(10))
    steps = [report["step"] for report in reports]
    assert list(dict.fromkeys(steps)) == ["extracting", "chunking", "embedding", "storing"]
    assert {report["file"] for report in reports} == {key.file_path}
    assert [report["done"] for report in reports if report["step"] == "embedding"] == [0, 4, 8]
    assert all(report["done"] <= report["total"] for report in reports)
    assert ["text_length" in report for report in reports] == [s != "extracting" for s in steps]
    early = {"extracting", "chunking"}
    assert ["chunk_count" in report for report in reports] == [s not in early for s in steps]
    assert reports[-1]["done"] == reports[-1]["total"] == 10


def test_a_second_run_replaces_and_never_doubles(settings: Settings, key: DocumentKey) -> None:
    first = process_document(settings, key, ignore)
    assert process_document(settings, key, ignore) == first
    assert len(stored(settings)) == 10


def test_a_file_url_and_a_path_are_one_document(settings: Settings, document: Path) -> None:
    for file_path in (str(document), document.as_uri()):
        result = process_document(settings, DocumentKey("ann", "default", file_path), ignore)
        assert result["file_path"] == file_path
    assert len(stored(settings)) == 10


def test_a_changed_document_replaces_the_old_one(
    settings: Settings, key: DocumentKey, document: Path
) -> None:
    process_document(settings, key, ignore)
    document.write_text(sentences("bee", 3))
    assert process_document(settings, key, ignore)["chunk_count"] == 3
    assert {match.text[:3] for match in stored(settings)} == {"bee"}
    assert len(stored(settings)) == 3


def test_another_chunk_length_leaves_no_stale_chunks(
    settings: Settings, make_settings: Callable[..., Settings], key: DocumentKey
) -> None:
    process_document(settings, key, ignore)
    count = process_document(make_settings(chunk_chars=2_000), key, ignore)["chunk_count"]
    assert count < 10
    assert len(stored(settings)) == count


def test_owners_do_not_replace_each_others_documents(settings: Settings, document: Path) -> None:
    for user_id in ("ann", "bob"):
        process_document(settings, DocumentKey(user_id, "default", str(document)), ignore)
    assert len(stored(settings)) == 20


def test_the_old_chunks_stay_until_the_new_ones_are_stored(
    settings: Settings, key: DocumentKey, document: Path
) -> None:
    process_document(settings, key, ignore)
    document.write_text(sentences("bee", 10))
    seen = []

    def look(meta: dict[str, Any]) -> None:
        if meta["step"] == "embedding":
            seen.append(sum(match.text.startswith("lamp") for match in stored(settings)))

    process_document(settings, key, look)
    assert seen == [10, 10, 10]
    assert len(stored(settings)) == 10


@pytest.mark.parametrize(
    ("step", "done", "kept"), [("extracting", 0, 0), ("embedding", 4, 4), ("storing", 8, 8)]
)
def test_the_soft_limit_keeps_what_is_stored(
    settings: Settings, key: DocumentKey, step: str, done: int, kept: int
) -> None:
    def strike(meta: dict[str, Any]) -> None:
        if (meta["step"], meta["done"]) == (step, done):
            raise SoftTimeLimitExceeded

    result = process_document(settings, key, strike)
    assert result == {
        "status": "timeout",
        "partial": True,
        "file_path": key.file_path,
        "chunk_count": kept,
    }
    assert len(stored(settings)) == kept
    assert process_document(settings, key, ignore)["chunk_count"] == 10
    assert len(stored(settings)) == 10


def test_a_retry_after_a_fault_in_the_middle_completes_without_doubles(
    settings: Settings, key: DocumentKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = LocalEmbedder.embed, []

    def fails_once(self: LocalEmbedder, texts: list[str]) -> list[list[float]]:
        calls.append(texts)
        if len(calls) == 2:
            raise EmbeddingUnavailable("gone for a moment")
        return real(self, texts)

    monkeypatch.setattr(LocalEmbedder, "embed", fails_once)
    with pytest.raises(EmbeddingUnavailable):
        process_document(settings, key, ignore)
    process_document(settings, key, ignore)
    assert len(stored(settings)) == 10


def test_another_model_is_refused_before_anything_is_embedded(
    settings: Settings, make_settings: Callable[..., Settings], key: DocumentKey
) -> None:
    process_document(settings, key, ignore)
    steps = []
    with pytest.raises(EmbeddingMismatch, match="LANEWAY_EMBEDDING_MODEL"):
        process_document(
            make_settings(embedding_model="other"), key, lambda meta: steps.append(meta["step"])
        )
    assert "embedding" not in steps


def test_a_path_outside_the_roots_stores_nothing(settings: Settings) -> None:
    with pytest.raises(PathNotAllowed):
        process_document(settings, DocumentKey("ann", "default", "/etc/passwd"), ignore)
    assert vector_store(settings).count("default") == 0


def test_another_users_upload_does_not_become_searchable(settings: Settings) -> None:
    upload = store_upload(settings, "bob", "a.txt", [b"the secret of bob"])
    with pytest.raises(PathNotAllowed):
        process_document(settings, DocumentKey("ann", "default", upload.file_path), ignore)
    assert vector_store(settings).count("default") == 0


class Busy(Exception):
    """Another run holds the name."""


class Locks:
    """Names that one run at a time holds, as Redis keeps them for the task."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.asked: list[str] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self.asked.append(name)
        if name in self.held:
            raise Busy
        self.held.add(name)
        try:
            yield
        finally:
            self.held.remove(name)


def test_two_runs_at_once_of_a_changing_document_lose_no_chunk(
    settings: Settings, key: DocumentKey, document: Path
) -> None:
    """The second comes when the first has stored a part: it must wait, then store the rest."""
    locks, refused = Locks(), []

    def interfere(meta: dict[str, Any]) -> None:
        if (meta["step"], meta["done"]) == ("embedding", 4):
            document.write_text(sentences("bee", 10))
            with pytest.raises(Busy):
                process_document(settings, key, refused.append, locks)

    assert process_document(settings, key, interfere, locks)["chunk_count"] == 10
    assert refused == []
    assert process_document(settings, key, ignore, locks)["chunk_count"] == 10
    assert sorted(match.ordinal for match in stored(settings)) == list(range(10))
    assert {match.text[:3] for match in stored(settings)} == {"bee"}


def test_what_changed_before_the_lock_was_had_is_what_is_stored(
    settings: Settings, key: DocumentKey, document: Path
) -> None:
    @contextmanager
    def changing(_name: str) -> Iterator[None]:
        document.write_text(sentences("bee", 3))
        yield

    assert process_document(settings, key, ignore, changing)["chunk_count"] == 3
    assert {match.text[:3] for match in stored(settings)} == {"bee"}


def test_the_lock_is_held_from_the_first_step_to_the_last(
    settings: Settings, key: DocumentKey
) -> None:
    locks = Locks()
    held: list[int] = []
    process_document(settings, key, lambda _meta: held.append(len(locks.held)), locks)
    assert set(held) == {1}
    assert locks.held == set()


def test_runs_wait_for_each_other_only_over_one_document_of_one_owner_and_collection(
    settings: Settings, document: Path
) -> None:
    locks = Locks()
    for key in (
        DocumentKey("ann", "default", str(document)),
        DocumentKey("ann", "default", document.as_uri()),
        DocumentKey("bob", "default", str(document)),
        DocumentKey("ann", "other", str(document)),
    ):
        process_document(settings, key, ignore, locks)
    path, url, *others = locks.asked
    assert path == url
    assert len({path, *others}) == 3


def test_texts_are_embedded_and_not_stored(settings: Settings) -> None:
    result = embed_texts(settings, ["a cat", "a dog"], "default")
    assert (result["collection"], result["model"]) == ("default", "all-MiniLM-L6-v2")
    assert result["dimension"] == 384
    assert [len(vector) for vector in result["vectors"]] == [384, 384]
    assert vector_store(settings).count("default") == 0


def test_texts_for_a_collection_of_another_model_are_refused(
    settings: Settings, make_settings: Callable[..., Settings], key: DocumentKey
) -> None:
    process_document(settings, key, ignore)
    with pytest.raises(EmbeddingMismatch):
        embed_texts(make_settings(embedding_model="other"), ["a cat"], "default")


def _stored_ids(settings: Settings, key: DocumentKey) -> list[str]:
    from laneway.tasks.documents.chunks import chunk_id
    from laneway.tasks.documents.source import read_document

    sha256 = read_document(settings, key.file_path, key.user_id).sha256
    return [chunk_id(key, sha256, ordinal) for ordinal in range(10)]


def test_stored_chunks_are_embedded_anew_in_place(settings: Settings, key: DocumentKey) -> None:
    process_document(settings, key, ignore)
    ids = _stored_ids(settings, key)
    store = vector_store(settings)
    (chunk,) = store.chunks("default", ids[:1])
    spoiled = type(chunk)(**{**vars(chunk), "vector": [0.0] * 384})
    store.refresh("default", "all-MiniLM-L6-v2", [spoiled])
    result = embed_chunks(settings, [*ids, ids[0]], "default")
    assert result == {
        "collection": "default",
        "model": "all-MiniLM-L6-v2",
        "dimension": 384,
        "count": 10,
    }
    assert store.chunks("default", ids[:1])[0].vector == pytest.approx(chunk.vector, abs=0.05)
    assert store.count("default") == 10


def test_unknown_chunks_are_counted_and_the_first_named(
    settings: Settings, key: DocumentKey
) -> None:
    process_document(settings, key, ignore)
    unknown = [f"{n:032x}" for n in range(5)]
    with pytest.raises(DocumentNotFound, match=f"5 of 6 .*{unknown[0]}.*…"):
        embed_chunks(settings, [*unknown, _stored_ids(settings, key)[0]], "default")
