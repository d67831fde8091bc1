"""The vector store in a folder."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.lance import MIN_INDEXED_ROWS
from laneway.tasks.documents.lance_errors import lance_errors
from laneway.tasks.documents.lance_tables import Tables
from laneway.tasks.documents.vectors import Chunk, Question, VectorStore, vector_store
from laneway.tasks.errors import (
    EmbeddingMismatch,
    StorageError,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
)
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit

KEY = DocumentKey("ann", "default", "/it's.txt")
OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def store(settings: Settings) -> VectorStore:
    return vector_store(settings)


def chunk(ordinal: int, sha256: str = OLD, text: str = "text", user_id: str = "ann") -> Chunk:
    angle = ordinal / 1_000
    id_ = f"{user_id.encode().hex()[:6]:0>8}{sha256[:8]}{ordinal:016x}"
    return Chunk(id_, user_id, KEY.file_path, sha256, ordinal, text, [1.0, angle, angle**2])


def question(text: str = "text", user_id: str | None = None, limit: int = 5) -> Question:
    return Question(text, [1.0, 0.0, 0.0], "model", user_id, limit)


def test_what_is_put_is_found_nearest_first(store: VectorStore) -> None:
    store.put("default", "model", [chunk(n) for n in (2, 0, 1)])
    found = store.search("default", question(limit=2))
    assert [match.ordinal for match in found] == [0, 1]
    assert found[0].score > found[1].score


def test_a_search_sees_one_owners_chunks_if_asked(store: VectorStore) -> None:
    store.put("default", "model", [chunk(0), chunk(1, user_id="o'hara")])
    assert [match.ordinal for match in store.search("default", question(user_id="o'hara"))] == [1]
    assert store.search("default", question(user_id="nobody")) == []


def test_a_chunk_of_the_same_name_is_replaced(store: VectorStore) -> None:
    store.put("default", "model", [chunk(0, text="first")])
    store.put("default", "model", [chunk(0, text="second")])
    assert [match.text for match in store.search("default", question())] == ["second"]


def test_stale_chunks_are_those_of_another_content_or_beyond_the_end(store: VectorStore) -> None:
    others = [chunk(0, user_id="bob")]
    store.put("default", "model", [*others, *(chunk(n) for n in range(3))])
    store.put("default", "model", [chunk(n, NEW) for n in range(4)])
    store.remove_stale(KEY, NEW, 2)
    found = store.search("default", question(limit=20))
    assert sorted((match.user_id, match.ordinal) for match in found) == [
        ("ann", 0),
        ("ann", 1),
        ("bob", 0),
    ]


def test_an_unknown_collection_is_empty_everywhere(store: VectorStore) -> None:
    assert store.search("none", question()) == []
    assert store.count("none") == 0
    assert store.chunks("none", ["0" * 16]) == []
    assert store.compact("none").startswith("skipped")
    store.remove_stale(DocumentKey("ann", "none", "/a"), OLD, 0)
    store.check_model("none", "any", 1)


@pytest.mark.parametrize(("model", "dimension"), [("other", 3), ("model", 4), ("other", None)])
def test_a_collection_refuses_another_model_or_dimension(
    store: VectorStore, model: str, dimension: int | None
) -> None:
    store.put("default", "model", [chunk(0)])
    with pytest.raises(EmbeddingMismatch, match="new collection"):
        store.check_model("default", model, dimension)
    stranger = Chunk("f" * 32, "ann", "/a", OLD, 0, "text", [0.0] * (dimension or 3))
    with pytest.raises(EmbeddingMismatch):
        store.put("default", model, [stranger])
    with pytest.raises(EmbeddingMismatch):
        store.refresh("default", model, [stranger])
    with pytest.raises(EmbeddingMismatch):
        store.search("default", Question("text", stranger.vector, model))
    assert store.count("default") == 1


def test_another_store_over_the_same_folder_sees_every_write(settings: Settings) -> None:
    one, other = vector_store(settings), vector_store(settings)
    one.put("default", "model", [chunk(0)])
    other.put("default", "model", [chunk(1)])
    assert one.count("default") == other.count("default") == 2


def test_refreshing_does_not_bring_removed_chunks_back(store: VectorStore) -> None:
    store.put("default", "model", [chunk(0)])
    store.refresh("default", "model", [chunk(0, text="renewed"), chunk(1)])
    assert [match.text for match in store.search("default", question())] == ["renewed"]


def test_few_chunks_get_no_vector_index_and_are_told_why(store: VectorStore) -> None:
    store.put("default", "model", [chunk(0)])
    assert store.index_vectors("default") == f"skipped: 1 chunks, {MIN_INDEXED_ROWS} needed"


def test_an_indexed_collection_still_finds_and_replaces_new_chunks(store: VectorStore) -> None:
    store.put("default", "model", [chunk(n) for n in range(MIN_INDEXED_ROWS)])
    assert store.index_vectors("default") == "built"
    assert store.index_text("default") == "built"
    store.compact("default")
    store.put("default", "model", [chunk(0, text="a waltz"), chunk(900, text="an accordion")])
    assert store.count("default") == MIN_INDEXED_ROWS + 1
    assert store.search("default", question("accordion"))[0].ordinal in {0, 900}
    ordinals = [match.ordinal for match in store.search("default", question("accordion"))]
    assert 900 in ordinals
    assert store.index_vectors("default") == store.index_text("default") == "refreshed"
    assert store.compact("default") == "compacted"
    assert store.search("default", question("waltz"))[0].text == "a waltz"


@pytest.mark.parametrize("words", ["", "'", '"', "a AND (", "*", "\\", "text:x", "+-!{}[]^~?"])
def test_any_words_may_be_searched_for(store: VectorStore, words: str) -> None:
    store.put("default", "model", [chunk(0)])
    store.index_text("default")
    assert len(store.search("default", question(words))) == 1


def test_a_creator_that_comes_too_late_takes_the_first_ones_table(settings: Settings) -> None:
    """It found no table a moment ago, and would overwrite what has been stored since."""
    store, late = vector_store(settings), Tables(settings)
    assert late.open("default") is None
    store.put("default", "model", [chunk(0)])
    assert late.create("default", "model", 3).count_rows() == 1
    assert store.count("default") == 1
    folder = Path(settings.storage_url.removeprefix("file://"), "vectors")
    assert len(list(folder.glob("*.lance"))) == len(list(folder.glob("*.table"))) == 1
    assert len(list(folder.iterdir())) == 2


WRITER = """
import sys
from laneway.tasks.documents.vectors import Chunk, vector_store
from laneway.tasks.settings import load_settings

store = vector_store(load_settings(storage_url=sys.argv[1]))
writer = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for batch in range(3):
    chunks = [
        Chunk(f"{owner}{batch:015x}{n:016x}", owner, "/a", "a" * 64, n, "text", [1.0, n])
        for n in range(10)
        for owner in (writer, "f")
    ]
    store.put("default", "model", chunks)
"""


def test_processes_that_write_at_once_lose_and_double_nothing(settings: Settings) -> None:
    """Each writes ten chunks of its own and ten that all write, three times, from the start."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, settings.storage_url, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "abc"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n")
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert vector_store(settings).count("default") == 3 * 30 + 30


@pytest.mark.parametrize(
    ("place", "fault", "error"),
    [
        ("/v", "IO error: No space left on device (os error 28)", StorageFull),
        ("/v", "IO error: File too large (os error 27)", StorageFull),
        ("/v", "IO error: Read-only file system (os error 30)", StorageReadOnly),
        ("/v", "IO error: Permission denied (os error 13)", StorageReadOnly),
        ("/v", "Commit conflict for version 3", StorageUnavailable),
        ("s3://b/v", "Http error: error sending request", StorageUnavailable),
        ("s3://b/v", "Too many concurrent writers", StorageUnavailable),
        ("s3://b/v", "Server returned 403: <Code>AccessDenied</Code>", StorageError),
        ("s3://b/v", "<Code>NoSuchBucket</Code>", StorageError),
        ("/v", "something else: confidential", StorageError),
    ],
)
def test_each_fault_of_lancedb_has_its_error(
    place: str, fault: str, error: type[Exception]
) -> None:
    with (
        pytest.raises(StorageError if error is StorageError else error) as caught,
        lance_errors(place),
    ):
        raise RuntimeError(fault)
    assert type(caught.value) is error
    assert "confidential" not in str(caught.value)


def test_a_folder_stays_where_the_setting_says(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    settings = make_settings(storage_url=(tmp_path / "with space").as_uri())
    vector_store(settings).put("default", "model", [chunk(0)])
    assert (tmp_path / "with space" / "vectors").is_dir()
