"""The one store of a Laneway: `documents/` and `vectors/` below LANEWAY_STORAGE_URL."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, urlsplit

from laneway.tasks.errors import (
    LanewayError,
    SettingsError,
    StorageError,
    StorageFull,
    StorageReadOnly,
    StorageUnavailable,
)
from laneway.tasks.settings import Settings

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 10
RETRIES = 1
"""A dead store is given up after seconds, not minutes: the task's retry is the patient one."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST})
_BUSY = frozenset({errno.EBUSY, errno.EREMOTEIO})


def storage_root(settings: Settings) -> str:
    """The store as an absolute path or as s3://bucket/prefix, without a slash at its end.

    Raises:
        SettingsError: LANEWAY_STORAGE_URL is neither file:/// nor s3://.
    """
    parts = urlsplit(settings.storage_url)
    if parts.scheme == "s3" and parts.netloc:
        return f"s3://{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return unquote(parts.path).rstrip("/")
    raise SettingsError(
        f"LANEWAY_STORAGE_URL: {settings.storage_url!r} cannot be used. "
        "Set file:///folder or s3://bucket/prefix."
    )


def documents_root(settings: Settings) -> str:
    """Where uploads lie."""
    return f"{storage_root(settings)}/documents"


def vectors_root(settings: Settings) -> str:
    """Where the collections lie."""
    return f"{storage_root(settings)}/vectors"


def s3_filesystem(settings: Settings) -> Any:
    """The fsspec file system for s3://, one a process: it holds a thread that no fork survives."""
    return _s3_filesystem(settings, os.getpid())


@lru_cache(maxsize=4)
def _s3_filesystem(settings: Settings, _pid: int) -> Any:
    from s3fs import S3FileSystem

    key, secret = s3_credentials(settings)
    filesystem = S3FileSystem(
        key=key,
        secret=secret,
        endpoint_url=settings.storage_endpoint,
        client_kwargs={"region_name": settings.storage_region},
        config_kwargs={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "retries": {"max_attempts": RETRIES, "mode": "standard"},
        },
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    filesystem.retries = 1  # botocore retries already
    return filesystem


def s3_credentials(settings: Settings) -> tuple[str | None, str | None]:
    """Key id and secret; None where the machine's own identity is to be used."""
    key, secret = settings.storage_access_key, settings.storage_secret_key
    return (key.get_secret_value() if key else None, secret.get_secret_value() if secret else None)


@contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turn what a file system or S3 raises into the errors of the tree.

    Raises:
        StorageFull, StorageReadOnly, StorageError: the store refused.
        StorageUnavailable: the store did not answer; worth a retry.
    """
    try:
        yield
    except Exception as error:
        if _is_botocore(error):  # some of its time-outs are an OSError too, but without a number
            raise unavailable(place) from error
        if isinstance(error, OSError):
            raise os_fault(place, error) from error
        raise


def unavailable(place: str) -> StorageUnavailable:
    """The error for a store that cannot be reached."""
    return StorageUnavailable(
        f"{place}: the store does not answer. It is tried again; if it stays so, check "
        "LANEWAY_STORAGE_ENDPOINT and the network policy."
    )


def denied(place: str) -> StorageError:
    """The error for a store that does not accept the credentials."""
    return StorageError(
        f"{place}: the store refuses the credentials. Check LANEWAY_STORAGE_ACCESS_KEY and "
        "LANEWAY_STORAGE_SECRET_KEY, and that they may read and write there."
    )


def full(place: str) -> StorageFull:
    """The error for a store without space."""
    return StorageFull(f"{place}: no space is left. Free some or enlarge the volume or quota.")


def read_only(place: str) -> StorageReadOnly:
    """The error for a store that may not be written."""
    return StorageReadOnly(
        f"{place}: cannot be written. Mount it writable for the worker's user, or point "
        "LANEWAY_STORAGE_URL at a folder that is."
    )


def os_fault(place: str, error: OSError) -> LanewayError:
    """What the operating system, or s3fs in its words, says about the store."""
    remote = place.startswith("s3://")
    if isinstance(error, ConnectionError | TimeoutError) or (remote and error.errno in _BUSY):
        return unavailable(place)
    if remote and isinstance(error, PermissionError):
        return denied(place)
    if remote and isinstance(error, FileNotFoundError):
        return StorageError(f"{place}: there is no such bucket. Create it.")
    if error.errno in FULL:
        return full(place)
    if error.errno in READ_ONLY:
        return read_only(place)
    return StorageError(f"{place}: the store failed ({error.strerror or type(error).__name__}).")


def _is_botocore(error: Exception) -> bool:
    return type(error).__module__.partition(".")[0] in {"botocore", "aiobotocore", "aiohttp"}
