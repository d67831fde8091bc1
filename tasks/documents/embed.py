"""Embeddings alone: of texts, or of stored chunks anew."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from laneway.tasks.documents.embedders import embedder_for
from laneway.tasks.documents.vectors import vector_store
from laneway.tasks.errors import DocumentNotFound
from laneway.tasks.settings import Settings

_SHOWN_IDS = 3


def embed_texts(settings: Settings, texts: Sequence[str], collection: str) -> dict[str, Any]:
    """Embed texts with the collection's model; nothing is stored.

    Returns:
        {collection, model, dimension, vectors}.

    Raises:
        EmbeddingMismatch: the collection holds another model's vectors.
        EmbeddingError, EmbeddingUnavailable: the embedder's answer.
    """
    embedder, store = embedder_for(settings), vector_store(settings)
    store.check_model(collection, embedder.model, embedder.dimension)
    vectors = embedder.embed(texts)
    store.check_model(collection, embedder.model, embedder.dimension)
    return {
        "collection": collection,
        "model": embedder.model,
        "dimension": embedder.dimension,
        "vectors": vectors,
    }


def embed_chunks(settings: Settings, ids: Sequence[str], collection: str) -> dict[str, Any]:
    """Embed stored chunks anew and write their vectors back.

    Returns:
        {collection, model, dimension, count}.

    Raises:
        DocumentNotFound: an id is not in the collection; nothing is written.
        EmbeddingMismatch: the collection holds another model's vectors.
    """
    embedder, store = embedder_for(settings), vector_store(settings)
    store.check_model(collection, embedder.model, embedder.dimension)
    ids = list(dict.fromkeys(ids))
    chunks = store.chunks(collection, ids)
    known = {chunk.id for chunk in chunks}
    if missing := [chunk_id for chunk_id in ids if chunk_id not in known]:
        more = ", …" if len(missing) > _SHOWN_IDS else ""
        raise DocumentNotFound(
            f"collection {collection}: {len(missing)} of {len(ids)} chunks are not there "
            f"({', '.join(missing[:_SHOWN_IDS])}{more}). Process their documents again."
        )
    for start in range(0, len(chunks), settings.embedding_batch):
        batch = chunks[start : start + settings.embedding_batch]
        vectors = embedder.embed([chunk.text for chunk in batch])
        renewed = [
            replace(chunk, vector=vector) for chunk, vector in zip(batch, vectors, strict=True)
        ]
        store.refresh(collection, embedder.model, renewed)
    return {
        "collection": collection,
        "model": embedder.model,
        "dimension": embedder.dimension,
        "count": len(chunks),
    }
