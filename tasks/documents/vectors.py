"""Collections of chunks and their vectors: what a store of them must do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.settings import Settings


@dataclass(frozen=True)
class Chunk:
    """A stored piece of a document. `ordinal` counts from 0 within the document."""

    id: str
    user_id: str
    file_path: str
    content_sha256: str
    ordinal: int
    text: str
    vector: list[float]


@dataclass(frozen=True)
class Match:
    """A chunk that a search found; a higher score is better, within one answer."""

    file_path: str
    user_id: str
    ordinal: int
    text: str
    score: float


@dataclass(frozen=True)
class Question:
    """A search: the words, their vector, and the model that made it."""

    text: str
    vector: list[float]
    model: str
    user_id: str | None = None
    limit: int = 5


class VectorStore(Protocol):
    """A store of collections. Each holds the vectors of one model, and of one dimension.

    Every method raises EmbeddingMismatch for another model's vectors, StorageUnavailable when
    the store does not answer, and another StorageError when it refuses.
    """

    def check_model(self, collection: str, model: str, dimension: int | None) -> None:
        """Refuse a model that is not the collection's; a collection to come takes any."""

    def put(self, collection: str, model: str, chunks: Sequence[Chunk]) -> None:
        """Add chunks, or replace those of the same id; the first ones create the collection."""

    def remove_stale(self, key: DocumentKey, content_sha256: str, count: int) -> None:
        """Remove a document's chunks other than the first `count` of this content."""

    def chunks(self, collection: str, ids: Sequence[str]) -> list[Chunk]:
        """The stored chunks of these ids, in any order; unknown ids are left out."""

    def refresh(self, collection: str, model: str, chunks: Sequence[Chunk]) -> None:
        """Write chunks back that are still there; those removed meanwhile stay removed."""

    def search(self, collection: str, question: Question) -> list[Match]:
        """The best matches, best first; none in a collection that does not exist."""

    def count(self, collection: str) -> int:
        """Chunks in a collection; 0 if it does not exist."""

    def index_vectors(self, collection: str) -> str:
        """Build or refresh the vector index; says in a word or two what was done."""

    def index_text(self, collection: str) -> str:
        """Build or refresh the full-text index; says in a word or two what was done."""

    def compact(self, collection: str) -> str:
        """Merge small fragments; says in a word or two what was done."""


def vector_store(settings: Settings) -> VectorStore:
    """The store below `vectors/`. It holds threads: open it in the task, never before a fork."""
    from laneway.tasks.documents.lance import LanceStore

    return LanceStore(settings)
