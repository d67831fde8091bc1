"""Find what was indexed."""

from laneway.tasks.documents.embedders import embedder_for
from laneway.tasks.documents.vectors import Match as Hit
from laneway.tasks.documents.vectors import Question, vector_store
from laneway.tasks.settings import Settings

__all__ = ["Hit", "search"]


def search(
    settings: Settings,
    query: str,
    collection: str = "default",
    user_id: str | None = None,
    limit: int = 5,
) -> list[Hit]:
    """The chunks that answer a query best, best first.

    By meaning at once, and by words too once rag.index_collection has run. A collection that
    does not exist holds nothing: the answer is empty.

    Args:
        settings: the store and the embedder.
        query: words or a question.
        collection: where to search.
        user_id: only this owner's documents; everybody's if None.
        limit: most hits.

    Raises:
        EmbeddingMismatch: the collection holds another model's vectors.
        EmbeddingUnavailable, StorageUnavailable: try again.
    """
    store = vector_store(settings)
    if limit < 1 or not query.strip() or not store.count(collection):
        return []
    embedder = embedder_for(settings)
    store.check_model(collection, embedder.model, embedder.dimension)
    (vector,) = embedder.embed([query])
    return store.search(collection, Question(query, vector, embedder.model, user_id, limit))
