"""Split a text at its natural borders and name the pieces."""

import hashlib
from dataclasses import dataclass

from laneway.tasks.documents.extract import Kind
from laneway.tasks.settings import Settings

_ID_LENGTH = 32


@dataclass(frozen=True)
class DocumentKey:
    """What makes a document the same one: its owner, its collection and its place."""

    user_id: str
    collection: str
    file_path: str


def split(settings: Settings, kind: Kind, text: str) -> list[str]:
    """Pieces of at most `chunk_chars` characters, in order."""
    from semantic_text_splitter import MarkdownSplitter, TextSplitter

    splitter = MarkdownSplitter if kind is Kind.MARKDOWN else TextSplitter
    chunks: list[str] = splitter(settings.chunk_chars, overlap=settings.chunk_overlap_chars).chunks(
        text
    )
    return chunks


def chunk_id(key: DocumentKey, content_sha256: str, ordinal: int) -> str:
    """The name of a chunk: the same for the same piece of the same content, in hex."""
    parts = (key.user_id, key.collection, key.file_path, content_sha256, str(ordinal))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:_ID_LENGTH]
