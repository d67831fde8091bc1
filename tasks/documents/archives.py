"""Look into a zip-based document before an extractor opens it: a small file may unpack to much."""

import zipfile
import zlib
from io import BytesIO

from laneway.tasks.errors import DocumentEncrypted, DocumentTooLarge, DocumentUnreadable

_PART_BYTES = 1 << 20
_MAX_ENTRIES = 20_000
_MAX_RATIO = 250
_RATIO_FROM_BYTES = 32 << 20
"""Office XML packs up to some 50 to 1; more than 250 to 1 in a large document is an attack."""

_ENCRYPTED_FLAG = 0x1


def archive_names(content: bytes, shown: str) -> frozenset[str]:
    """The names of an archive's entries.

    Raises:
        DocumentUnreadable: damaged.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            return frozenset(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, UnicodeDecodeError) as error:
        raise _damaged(shown) from error


def check_archive(content: bytes, shown: str, limit_bytes: int) -> None:
    """Unpack an archive once, piece by piece, without keeping anything.

    Both the declared and the real sizes count: the declared ones come from the sender.

    Raises:
        DocumentTooLarge: unpacks to more than `limit_bytes`, or suspiciously much.
        DocumentEncrypted: an entry wants a password.
        DocumentUnreadable: damaged.
    """
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_declared(entries, shown, limit_bytes)
            unpacked_bytes = 0
            for entry in entries:
                with archive.open(entry) as file:
                    while part := file.read(_PART_BYTES):
                        unpacked_bytes += len(part)
                        _check_size(unpacked_bytes, len(content), shown, limit_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise _damaged(shown) from error


def _check_declared(entries: list[zipfile.ZipInfo], shown: str, limit_bytes: int) -> None:
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise DocumentEncrypted(f"{shown}: wants a password. Save it without one.")
    if len(entries) > _MAX_ENTRIES or sum(entry.file_size for entry in entries) > limit_bytes:
        raise _too_large(shown, limit_bytes)


def _check_size(unpacked_bytes: int, packed_bytes: int, shown: str, limit_bytes: int) -> None:
    suspicious = unpacked_bytes > max(_RATIO_FROM_BYTES, packed_bytes * _MAX_RATIO)
    if unpacked_bytes > limit_bytes or suspicious:
        raise _too_large(shown, limit_bytes)


def _too_large(shown: str, limit_bytes: int) -> DocumentTooLarge:
    return DocumentTooLarge(
        f"{shown}: unpacks to more than {limit_bytes} bytes, or to {_MAX_RATIO} times its size. "
        "Remove what is embedded in it, or raise LANEWAY_DOCUMENT_UNPACKED_LIMIT_BYTES."
    )


def _damaged(shown: str) -> DocumentUnreadable:
    return DocumentUnreadable(f"{shown}: is damaged. Save or upload it again.")
