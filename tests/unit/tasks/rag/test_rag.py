"""Search and indexing over the sample documents."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laneway.services.local.samples import FOLDER, SAMPLES
from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.process import process_document
from laneway.tasks.errors import EmbeddingMismatch
from laneway.tasks.rag.index import index_collection
from laneway.tasks.rag.search import search
from laneway.tasks.settings import Settings, load_settings

pytestmark = pytest.mark.unit


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[..., Settings]:
    def make(**values: Any) -> Settings:
        store = (tmp_path / "store").as_uri()
        defaults = {"storage_url": store, "document_roots": (str(FOLDER),), "chunk_chars": 500}
        return load_settings(**(defaults | values))

    return make


@pytest.fixture
def settings(make_settings: Callable[..., Settings]) -> Settings:
    settings = make_settings()
    for sample, user_id in zip(SAMPLES, ("ann", "ann", "bob"), strict=True):
        key = DocumentKey(user_id, "default", str(sample.path))
        process_document(settings, key, lambda _meta: None)
    return settings


QUESTIONS = {
    "beekeeping.pdf": "How do I keep the guard bees calm?",
    "lighthouse.docx": "music that saved ships in the fog",
    "sourdough.html": "how dark should the crust be?",
}


def test_a_question_finds_its_document_before_and_after_indexing(settings: Settings) -> None:
    for _ in range(2):
        for filename, question in QUESTIONS.items():
            assert search(settings, question)[0].file_path.endswith(filename)
        index_collection(settings, "default", lambda _meta: None)


def test_words_count_once_the_collection_is_indexed(settings: Settings) -> None:
    index_collection(settings, "default", lambda _meta: None)
    assert "Anselm Rook" in search(settings, "Anselm Rook")[0].text


def test_a_search_keeps_to_owner_limit_and_collection(settings: Settings) -> None:
    assert {hit.user_id for hit in search(settings, "bees", user_id="bob")} == {"bob"}
    assert len(search(settings, "bees", limit=2)) == 2
    assert search(settings, "bees", collection="none") == []
    assert search(settings, "  ") == []
    assert search(settings, "bees", limit=0) == []


def test_a_search_with_another_model_is_refused(
    settings: Settings, make_settings: Callable[..., Settings]
) -> None:
    with pytest.raises(EmbeddingMismatch):
        search(make_settings(embedding_model="other"), "bees")


def test_indexing_tells_its_progress_and_what_it_did(settings: Settings) -> None:
    reports: list[dict[str, Any]] = []
    result = index_collection(settings, "default", reports.append)
    assert result["collection"] == "default"
    assert result["rows"] > 10
    assert result["indexed"]["vectors"].startswith("skipped")
    assert result["indexed"]["text"] == "built"
    assert result["indexed"]["fragments"] == "compacted"
    assert [report["step"] for report in reports] == ["vectors", "text", "fragments"]
    assert [(report["done"], report["total"]) for report in reports] == [(0, 3), (1, 3), (2, 3)]


def test_indexing_nothing_says_so(make_settings: Callable[..., Settings]) -> None:
    result = index_collection(make_settings(), "none", lambda _meta: None)
    assert result["rows"] == 0
    assert all(done.startswith("skipped") for done in result["indexed"].values())
