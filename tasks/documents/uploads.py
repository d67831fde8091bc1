"""Take an upload into the store, where documents.process finds it."""

import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO
from uuid import uuid4

from laneway.tasks.contracts import DocumentsProcess, check_payload
from laneway.tasks.documents.storage import documents_root, s3_filesystem, storage_errors
from laneway.tasks.errors import DocumentTooLarge
from laneway.tasks.settings import Settings

_PART_BYTES = 1 << 20
_LONGEST_NAME = 80


@dataclass(frozen=True)
class StoredDocument:
    """An upload. `file_path` is what documents.process takes; the digest is in hex."""

    file_path: str
    size_bytes: int
    sha256: str


def store_upload(
    settings: Settings,
    user_id: str,
    filename: str,
    content: Iterable[bytes] | BinaryIO,
    limit_bytes: int | None = None,
) -> StoredDocument:
    """Store an upload whole or not at all.

    Its place is named after its content, so that the same file uploaded again is the same document.

    Args:
        settings: the store, and the size limit unless `limit_bytes` sets a lower one.
        user_id: the owner, as in the contract of documents.process.
        filename: what the user calls it; only its harmless characters are kept.
        content: the bytes, in parts or as an open file.
        limit_bytes: largest upload, bytes.

    Raises:
        InvalidPayload: no valid user id.
        DocumentTooLarge: above the limit; nothing is kept.
        StorageFull, StorageReadOnly, StorageError, StorageUnavailable: the store's answer.
    """
    limit_bytes = min(limit_bytes or settings.document_limit_bytes, settings.document_limit_bytes)
    folder = f"{documents_root(settings)}/{user_id}"
    check_payload(DocumentsProcess, {"file_path": folder, "user_id": user_id})
    meter = _Meter(filename=safe_name(filename), limit_bytes=limit_bytes)
    parts = meter.measured(_parts(content))
    with storage_errors(folder):
        if folder.startswith("s3://"):
            file_path = _store_object(settings, folder, meter, parts)
        else:
            file_path = _store_file(Path(folder), meter, parts)
    return StoredDocument(file_path, meter.size_bytes, meter.digest.hexdigest())


def safe_name(filename: str) -> str:
    """A file name's harmless characters: ASCII letters, digits, dot, dash and underscore."""
    plain = unicodedata.normalize("NFKD", filename.replace("\\", "/").rpartition("/")[2])
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", plain.encode("ascii", "ignore").decode())
    stem, dot, suffix = kept.strip("-._").rpartition(".")
    return f"{stem[:_LONGEST_NAME]}{dot}{suffix[:_LONGEST_NAME]}" or "document"


class _Meter:
    def __init__(self, filename: str, limit_bytes: int) -> None:
        self.filename = filename
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.digest = hashlib.sha256()

    @property
    def name(self) -> str:
        """Where it belongs, once it was measured to its end."""
        return f"{self.digest.hexdigest()[:32]}-{self.filename}"

    def measured(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            self.size_bytes += len(part)
            if self.size_bytes > self.limit_bytes:
                raise DocumentTooLarge(
                    f"{self.filename}: is larger than {self.limit_bytes} bytes. "
                    "Split it, or raise LANEWAY_DOCUMENT_LIMIT_BYTES."
                )
            self.digest.update(part)
            yield part


def _parts(content: Iterable[bytes] | BinaryIO) -> Iterable[bytes]:
    if isinstance(content, Iterable) and not hasattr(content, "read"):
        return content
    return iter(lambda: content.read(_PART_BYTES), b"")


def _store_file(folder: Path, meter: _Meter, parts: Iterable[bytes]) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{uuid4().hex}.part"
    try:
        with partial.open("xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        return str(partial.replace(folder / meter.name))
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _store_object(settings: Settings, folder: str, meter: _Meter, parts: Iterable[bytes]) -> str:
    # An object cannot be renamed, and its name is known with its last byte.
    with TemporaryFile() as spool:
        spool.writelines(parts)
        spool.seek(0)
        file_path = f"{folder}/{meter.name}"
        _put_object(settings, file_path, spool)
    return file_path


def _put_object(settings: Settings, file_path: str, content: BinaryIO) -> None:
    file = s3_filesystem(settings).open(file_path.removeprefix("s3://"), "wb", autocommit=False)
    try:
        for part in iter(lambda: content.read(_PART_BYTES), b""):
            file.write(part)
        file.close()
        file.commit()
    except BaseException:
        with suppress(Exception):
            file.discard()
        file.closed = True  # or its destructor would begin a new upload
        raise
