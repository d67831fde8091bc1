"""LanceDB reports every fault as text: this is the one place that reads it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from laneway.tasks.documents.storage import denied, full, os_fault, read_only, unavailable
from laneway.tasks.errors import LanewayError, StorageError, StorageUnavailable

_FULL = re.compile(
    r"os error (28|122|27)\b|no space left|quota exceeded|QuotaExceeded", re.IGNORECASE
)
_READ_ONLY = re.compile(
    r"os error (30|13|1|20|17)\b|read-only file system|permission denied|not a directory",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken"
    r"|PermissionDenied|Unauthenticated|status: 40[13]|\b40[13] (Forbidden|Unauthorized)"
)
_NO_BUCKET = re.compile(r"NoSuchBucket")
_CONFLICT = re.compile(
    r"commit conflict|incompatible transaction|too many concurrent writers|retryable", re.IGNORECASE
)
_UNAVAILABLE = re.compile(
    r"RetryError|HttpError|error sending request|connection (refused|reset|closed)|timed? ?out"
    r"|dns error|status: 5\d\d|SlowDown|ServiceUnavailable|incomplete ?message",
    re.IGNORECASE,
)


@contextmanager
def lance_errors(place: str) -> Iterator[None]:
    """Turn what LanceDB raises into the errors of the tree.

    Raises:
        StorageFull, StorageReadOnly, StorageError: the store refused.
        StorageUnavailable: the store did not answer, or too many wrote at once.
    """
    try:
        yield
    except LanewayError:
        raise
    except (RuntimeError, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise os_fault(place, error) from error
        raise _translated(place, str(error)) from error


def _translated(place: str, fault: str) -> LanewayError:
    for pattern, error in _REMOTE if place.startswith("s3://") else _LOCAL:
        if pattern.search(fault):
            return error(place)
    return StorageError(
        f"{place}: the vector store failed. The cause is logged with the task; restore the folder "
        "from a backup if it is damaged."
    )


def _no_bucket(place: str) -> StorageError:
    return StorageError(f"{place}: there is no such bucket. Create it.")


def _contended(place: str) -> StorageUnavailable:
    return StorageUnavailable(f"{place}: too many write at once. It is tried again.")


_LOCAL = ((_FULL, full), (_CONFLICT, _contended), (_READ_ONLY, read_only))
_REMOTE = (
    (_NO_BUCKET, _no_bucket),
    (_DENIED, denied),
    (_FULL, full),
    (_CONFLICT, _contended),
    (_UNAVAILABLE, unavailable),
)
