"""Make a document searchable: read, extract, split, embed, store."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from laneway.tasks.documents.chunks import DocumentKey, chunk_id, split
from laneway.tasks.documents.embedders import Embedder, embedder_for
from laneway.tasks.documents.extract import extract
from laneway.tasks.documents.paths import locate
from laneway.tasks.documents.source import Document, read_document
from laneway.tasks.documents.vectors import Chunk, VectorStore, vector_store
from laneway.tasks.errors import DocumentEmpty
from laneway.tasks.settings import Settings

Report = Callable[[dict[str, Any]], None]
Lock = Callable[[str], AbstractContextManager[object]]
"""Holds a name for the block, so that one run at a time works on a document."""


def process_document(
    settings: Settings, key: DocumentKey, report: Report, lock: Lock = nullcontext
) -> dict[str, Any]:
    """Read, extract, split, embed and store one document.

    A second run replaces what the first stored; an older content's chunks go once the new ones
    are stored. Two runs at once would each remove the other's chunks: the lock is held from
    before the document is read, so that the later run stores the later content.

    Args:
        settings: where to read and store, and how to embed.
        key: whose document it is, where it lies, and the collection it goes into.
        report: called with {step, file, done, total}, from chunking on with text_length too,
            from embedding on with chunk_count too.
        lock: called with a name made of the owner, the collection and the document; what it
            raises ends the run before anything is read.

    Returns:
        {file_path, chunk_count, user_id, collection, status: "indexed"}; or, when the soft
        time limit struck, {status: "timeout", partial: True, file_path, chunk_count} with the
        chunks stored so far.

    Raises:
        DocumentError, EmbeddingError, StorageError: final; the message holds the cure.
        DocumentUnavailable, EmbeddingUnavailable, StorageUnavailable: worth a retry.
    """
    progress = _Progress(key.file_path, report)
    try:
        name = locate(settings, key.file_path, key.user_id).name
        with lock(_digest(DocumentKey(key.user_id, key.collection, name))):
            _run(settings, key, progress)
    except SoftTimeLimitExceeded:
        return {
            "status": "timeout",
            "partial": True,
            "file_path": key.file_path,
            "chunk_count": progress.stored,
        }
    return {
        "file_path": key.file_path,
        "chunk_count": progress.stored,
        "user_id": key.user_id,
        "collection": key.collection,
        "status": "indexed",
    }


def _digest(identity: DocumentKey) -> str:
    parts = (identity.user_id, identity.collection, identity.file_path)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass
class _Progress:
    """What has been done so far, and who wants to know."""

    file: str
    report: Report
    stored: int = 0
    details: dict[str, int] = field(default_factory=dict)

    def at(self, step: str, done: int = 0, total: int = 1) -> None:
        meta = {"step": step, "file": self.file, "done": done, "total": total}
        self.report(meta | self.details)


def _run(settings: Settings, key: DocumentKey, progress: _Progress) -> None:
    progress.at("extracting")
    document = read_document(settings, key.file_path, key.user_id)
    kind, text = extract(document, settings.document_unpacked_limit_bytes)
    progress.details["text_length"] = len(text)
    progress.at("chunking")
    texts = split(settings, kind, text)
    if not texts:
        raise DocumentEmpty(f"{document.shown}: holds no text. Upload one that does.")
    progress.details["chunk_count"] = len(texts)
    embedder, store = embedder_for(settings), vector_store(settings)
    # The store would refuse another model too, but only after a batch was embedded.
    store.check_model(key.collection, embedder.model, embedder.dimension)
    _embed_and_store(_Job(key, document, embedder, store), texts, settings, progress)


@dataclass(frozen=True)
class _Job:
    key: DocumentKey
    document: Document
    embedder: Embedder
    store: VectorStore


def _embed_and_store(job: _Job, texts: list[str], settings: Settings, progress: _Progress) -> None:
    """Batch by batch, so that a time limit leaves whole chunks behind."""
    identity = DocumentKey(job.key.user_id, job.key.collection, job.document.name)
    total = len(texts)
    for start in range(0, total, settings.embedding_batch):
        batch = texts[start : start + settings.embedding_batch]
        progress.at("embedding", start, total)
        vectors = job.embedder.embed(batch)
        chunks = [
            Chunk(
                id=chunk_id(identity, job.document.sha256, ordinal),
                user_id=identity.user_id,
                file_path=identity.file_path,
                content_sha256=job.document.sha256,
                ordinal=ordinal,
                text=text,
                vector=vector,
            )
            for ordinal, (text, vector) in enumerate(zip(batch, vectors, strict=True), start)
        ]
        progress.at("storing", start, total)
        job.store.put(identity.collection, job.embedder.model, chunks)
        progress.stored = start + len(batch)
    job.store.remove_stale(identity, job.document.sha256, total)
    progress.at("storing", total, total)
