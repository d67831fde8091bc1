"""The vector store on LanceDB: one table for each collection, in a folder or on S3.

Many processes write at once: every commit is a conditional put, and the loser tries again.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.lance_errors import lance_errors
from laneway.tasks.documents.lance_tables import COLUMNS, MODEL, Tables
from laneway.tasks.documents.storage import vectors_root
from laneway.tasks.documents.vectors import Chunk, Match, Question
from laneway.tasks.errors import EmbeddingMismatch
from laneway.tasks.settings import Settings

MIN_INDEXED_ROWS = 256
"""Below, a vector index cannot be trained, and looking at every row is quicker anyway."""

_KEEP_VERSIONS = timedelta(hours=1)
"""A reader may still be at an older version of the table."""

_TEXT_INDEX = "text_idx"
_ID_INDEX = "id_idx"
_VECTOR_INDEX = "vector_idx"
_ANSWERED = [name for name in COLUMNS if name != "vector"]
_RANK_DAMPING = 60  # the usual constant of reciprocal rank fusion


class LanceStore:
    """A `VectorStore` below `<storage>/vectors`; connects at the first use."""

    def __init__(self, settings: Settings) -> None:
        self._root = vectors_root(settings)
        self._tables = Tables(settings)

    def check_model(self, collection: str, model: str, dimension: int | None) -> None:
        """See `VectorStore`."""
        with self._opened(collection) as table:
            if table is not None:
                _check_model(collection, table.schema, model, dimension)

    def put(self, collection: str, model: str, chunks: Sequence[Chunk]) -> None:
        """See `VectorStore`."""
        if not chunks:
            return
        dimension = len(chunks[0].vector)
        with lance_errors(self._place(collection)):
            table = self._tables.open(collection)
            if table is None:  # an empty table is falsy
                table = self._tables.create(collection, model, dimension)
            _check_model(collection, table.schema, model, dimension)
            merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(_rows(table.schema, model, chunks))

    def refresh(self, collection: str, model: str, chunks: Sequence[Chunk]) -> None:
        """See `VectorStore`."""
        with self._opened(collection) as table:
            if table is not None and chunks:
                _check_model(collection, table.schema, model, len(chunks[0].vector))
                merge = table.merge_insert("id").when_matched_update_all()
                merge.execute(_rows(table.schema, model, chunks))

    def remove_stale(self, key: DocumentKey, content_sha256: str, count: int) -> None:
        """See `VectorStore`."""
        stale = (
            f"user_id = {_quoted(key.user_id)} AND file_path = {_quoted(key.file_path)} AND "
            f"(content_sha256 <> {_quoted(content_sha256)} OR ordinal >= {count:d})"
        )
        with self._opened(key.collection) as table:
            # Asking first is cheap, and a delete that finds nothing would still be a commit.
            if table is not None and table.count_rows(stale):
                table.delete(stale)

    def chunks(self, collection: str, ids: Sequence[str]) -> list[Chunk]:
        """See `VectorStore`."""
        with self._opened(collection) as table:
            if table is None or not ids:
                return []
            wanted = f"id IN ({', '.join(map(_quoted, ids))})"
            rows = table.search().where(wanted).select(list(COLUMNS)).limit(len(ids)).to_list()
            return [Chunk(**{name: row[name] for name in COLUMNS}) for row in rows]

    def count(self, collection: str) -> int:
        """See `VectorStore`."""
        with self._opened(collection) as table:
            return 0 if table is None else int(table.count_rows())

    def search(self, collection: str, question: Question) -> list[Match]:
        """See `VectorStore`: by meaning, and by words too once rag.index_collection has run."""
        with self._opened(collection) as table:
            if table is None:
                return []
            _check_model(collection, table.schema, question.model, len(question.vector))
            by_meaning = table.search(question.vector, query_type="vector").distance_type("cosine")
            rankings = [_answer(by_meaning, "_distance", question)]
            if _TEXT_INDEX in _index_names(table):
                by_words = table.search(question.text, query_type="fts")
                rankings.append(_answer(by_words, "_score", question))
        return _fused(rankings, question.limit)

    def index_vectors(self, collection: str) -> str:
        """See `VectorStore`."""
        from lancedb.index import HnswSq

        with self._opened(collection) as table:
            rows = 0 if table is None else table.count_rows()
            if rows < MIN_INDEXED_ROWS:
                return f"skipped: {rows} chunks, {MIN_INDEXED_ROWS} needed"
            if _VECTOR_INDEX in _index_names(table):
                return "refreshed"  # compacting adds the new rows to every index
            table.create_index("vector", config=HnswSq(distance_type="cosine"), name=_VECTOR_INDEX)
            return "built"

    def index_text(self, collection: str) -> str:
        """See `VectorStore`."""
        from lancedb.index import FTS, BTree

        with self._opened(collection) as table:
            if table is None or not table.count_rows():
                return "skipped: no chunks"
            known = _index_names(table)
            if _ID_INDEX not in known:
                table.create_index(
                    "id", config=BTree(), name=_ID_INDEX
                )  # merges look rows up by it
            if _TEXT_INDEX in known:
                return "refreshed"
            table.create_index("text", config=FTS(), name=_TEXT_INDEX)
            return "built"

    def compact(self, collection: str) -> str:
        """See `VectorStore`."""
        with self._opened(collection) as table:
            if table is None:
                return "skipped: no chunks"
            table.optimize(cleanup_older_than=_KEEP_VERSIONS)
            return "compacted"

    def _place(self, collection: str) -> str:
        return f"{self._root}/{collection}"

    @contextmanager
    def _opened(self, collection: str) -> Iterator[Any]:
        with lance_errors(self._place(collection)):
            yield self._tables.open(collection)


def _rows(schema: Any, model: str, chunks: Sequence[Chunk]) -> Any:
    import pyarrow as pa

    return pa.Table.from_pylist([{**asdict(chunk), "model": model} for chunk in chunks], schema)


def _check_model(collection: str, schema: Any, model: str, dimension: int | None) -> None:
    held = (schema.metadata or {}).get(MODEL, b"").decode()
    held_dimension = schema.field("vector").type.list_size
    if held != model or dimension not in {None, held_dimension}:
        raise EmbeddingMismatch(
            f"collection {collection}: holds vectors of {held} (dimension {held_dimension}), not "
            f"of {model} (dimension {dimension or 'unknown'}). Set LANEWAY_EMBEDDING_MODEL back, "
            "or process the documents into a new collection."
        )


def _index_names(table: Any) -> set[str]:
    return {index.name for index in table.list_indices()}


def _answer(query: Any, rank: str, question: Question) -> list[dict[str, Any]]:
    """The rows of one ranking, best first; `rank` is the column LanceDB ranks them by."""
    if question.user_id is not None:
        query = query.where(f"user_id = {_quoted(question.user_id)}", prefilter=True)
    query = query.select([*_ANSWERED, rank]).limit(question.limit * 4)
    rows: list[dict[str, Any]] = query.to_list()
    return rows


def _fused(rankings: list[list[dict[str, Any]]], limit: int) -> list[Match]:
    """Reciprocal rank fusion: what ranks high by meaning or by words ranks high."""
    scores: dict[str, float] = {}
    rows = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking, start=1):
            rows[row["id"]] = row
            scores[row["id"]] = scores.get(row["id"], 0.0) + 1 / (_RANK_DAMPING + rank)
    best = sorted(scores, key=lambda chunk: scores[chunk], reverse=True)[:limit]
    fields = ("file_path", "user_id", "ordinal", "text")
    return [Match(**{name: rows[id_][name] for name in fields}, score=scores[id_]) for id_ in best]


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
