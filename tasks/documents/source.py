"""Read a document from where it lies: a folder, S3 or the web."""

import hashlib
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from laneway.tasks.documents.paths import LocalPlace, S3Place, locate, shown
from laneway.tasks.documents.storage import denied, s3_filesystem, storage_errors
from laneway.tasks.documents.web import download
from laneway.tasks.errors import (
    DocumentNotFound,
    DocumentTooLarge,
    PathNotAllowed,
)
from laneway.tasks.settings import Settings


@dataclass(frozen=True)
class Document:
    """A document as it was read. `name` is its identity, `media_type` what a server called it."""

    name: str
    content: bytes
    media_type: str | None = None

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def suffix(self) -> str:
        """The extension with its dot, in lower case; empty if there is none."""
        path = urlsplit(self.name).path if self.name.startswith("http") else self.name
        return PurePosixPath(path).suffix.lower()

    @property
    def shown(self) -> str:
        """The name as messages show it."""
        return shown(self.name)


def read_document(settings: Settings, file_path: str, user_id: str) -> Document:
    """Read a document that the settings allow this user.

    Raises:
        PathNotAllowed: outside the roots and hosts, also behind a link or a redirect; or another
            user's upload.
        DocumentNotFound: nothing is there.
        DocumentTooLarge: above `document_limit_bytes`.
        DocumentUnavailable, StorageUnavailable: worth a retry.
    """
    place = locate(settings, file_path, user_id)
    if isinstance(place, LocalPlace):
        return Document(place.name, _read_file(place, settings.document_limit_bytes))
    if isinstance(place, S3Place):
        return Document(place.name, _read_object(settings, place))
    content, media_type = download(settings, place)
    return Document(place.name, content, media_type)


def _read_file(place: LocalPlace, limit_bytes: int) -> bytes:
    with ExitStack() as stack:
        descriptor = _open_below(place, stack)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise PathNotAllowed(f"{place.name}: is no regular file. Name one.")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return _within(file.read(limit_bytes + 1), place.name, limit_bytes)


def _open_below(place: LocalPlace, stack: ExitStack) -> int:
    """Open folder by folder without following links: what was resolved may be swapped since."""
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    *folders, name = place.path.relative_to(place.root).parts
    try:
        here = os.open(place.root, flags | os.O_DIRECTORY)
        stack.callback(os.close, here)
        for folder in folders:
            here = os.open(folder, flags | os.O_DIRECTORY, dir_fd=here)
            stack.callback(os.close, here)
        here = os.open(name, flags, dir_fd=here)
        stack.callback(os.close, here)
    except FileNotFoundError:
        raise DocumentNotFound(f"{place.name}: there is no such file. Check the path.") from None
    except OSError as error:
        raise PathNotAllowed(
            f"{place.name}: cannot be opened ({error.strerror}). Name a regular file that the "
            "worker's user may read."
        ) from None
    return here


def _read_object(settings: Settings, place: S3Place) -> bytes:
    limit_bytes = settings.document_limit_bytes
    filesystem = s3_filesystem(settings)
    path = f"{place.bucket}/{place.key}"
    with storage_errors(place.name):
        try:
            size_bytes = filesystem.info(path)["size"]
            # A range of an empty object is an error in S3.
            content = _get(filesystem, path, limit_bytes + 1) if size_bytes else b""
        except (FileNotFoundError, IsADirectoryError):
            raise DocumentNotFound(
                f"{place.name}: there is no such object. Check bucket and key."
            ) from None
        except PermissionError as error:
            raise denied(place.name) from error
    return _within(content, place.name, limit_bytes)


def _get(filesystem: Any, path: str, end: int) -> bytes:
    content: bytes = filesystem.cat_file(path, start=0, end=end)
    return content


def _within(content: bytes, name: str, limit_bytes: int) -> bytes:
    if len(content) > limit_bytes:
        raise DocumentTooLarge(
            f"{name}: is larger than {limit_bytes} bytes. "
            "Split it, or raise LANEWAY_DOCUMENT_LIMIT_BYTES."
        )
    return content
