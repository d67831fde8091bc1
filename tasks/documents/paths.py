"""Where a document may be read from: the one place that says yes or no to a `file_path`."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from laneway.tasks.documents.storage import documents_root
from laneway.tasks.errors import PathNotAllowed
from laneway.tasks.settings import Settings

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LEAST_PARTS = 2
"""Of an upload's path: its user's folder and its own name."""


@dataclass(frozen=True)
class LocalPlace:
    """A file below an allowed folder; both with symbolic links resolved."""

    name: str
    root: Path
    path: Path


@dataclass(frozen=True)
class S3Place:
    """An object below an allowed prefix."""

    name: str
    bucket: str
    key: str


@dataclass(frozen=True)
class WebPlace:
    """A URL on an allowed host. `address` is host:port as in LANEWAY_DOCUMENT_HOSTS."""

    name: str
    host: str
    port: int
    address: str


Place = LocalPlace | S3Place | WebPlace


def locate(settings: Settings, file_path: str, user_id: str) -> Place:
    """Find out where a document lies, if this user may have it read at all.

    Uploads lie in documents/<user_id>/ and are their user's alone; the folders and hosts of the
    settings are everybody's. A place's `name` is the document's identity: `file:///a` and `/a`
    have the same one.

    Raises:
        PathNotAllowed: outside every root and host of the settings, or no upload of this user.
    """
    place = _locate(settings, file_path)
    below = _below_uploads(settings, place)
    if below is not None and (len(below) < _LEAST_PARTS or below[0] != user_id):
        raise PathNotAllowed(
            f"{file_path}: is no upload of user {user_id}. Upload it for this user, or name the "
            "user_id it was uploaded for."
        )
    return place


def _locate(settings: Settings, file_path: str) -> Place:
    scheme = file_path.partition("://")[0].lower() if "://" in file_path else "file"
    if scheme == "s3":
        return _locate_object(settings, file_path)
    if scheme in _DEFAULT_PORTS:
        return locate_url(settings, file_path)
    if scheme == "file":
        return _locate_file(settings, file_path)
    raise PathNotAllowed(
        f"{shown(file_path)}: a document cannot be read from {scheme}://. "
        "Use a path, s3:// or https://."
    )


def shown(file_path: str) -> str:
    """The path as messages show it: without user, password and query, which may be secrets."""
    if "://" not in file_path:
        return file_path
    scheme, _, rest = file_path.partition("://")
    place = rest.partition("?")[0].partition("#")[0]
    authority, slash, path = place.partition("/")
    return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"


def locate_url(settings: Settings, url: str) -> WebPlace:
    """Check a URL, also one that a redirect points at, against the allowed hosts.

    Raises:
        PathNotAllowed: another scheme or host, or a URL with credentials.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise PathNotAllowed(f"{shown(url)}: is no URL. Correct it.") from None
    if parts.scheme not in _DEFAULT_PORTS or not host:
        raise PathNotAllowed(f"{shown(url)}: is no web address. Use https://host/path.")
    if parts.scheme == "http" and not settings.document_private_hosts:
        raise PathNotAllowed(
            f"{shown(url)}: plain http can be read and changed on its way. Use https://, or set "
            "LANEWAY_DOCUMENT_PRIVATE_HOSTS=true inside a trusted network."
        )
    if parts.username is not None or parts.password is not None:
        raise PathNotAllowed(f"{shown(url)}: holds credentials. Use a signed URL instead.")
    host = host.rstrip(".")
    name = f"[{host}]" if ":" in host else host
    default_port = _DEFAULT_PORTS[parts.scheme]
    port = port or default_port
    known = {entry.lower() for entry in settings.document_hosts}
    if f"{name}:{port}" not in known and not (port == default_port and name in known):
        raise PathNotAllowed(
            f"{shown(url)}: documents may not be fetched from {name}:{port}. "
            f"Add it to LANEWAY_DOCUMENT_HOSTS{_list(settings.document_hosts)}."
        )
    return WebPlace(url, host, port, f"{name}:{port}")


def _locate_object(settings: Settings, file_path: str) -> S3Place:
    bucket, _, key = file_path[len("s3://") :].partition("/")
    if {"", ".", ".."} & set(key.split("/")):
        raise PathNotAllowed(f"{file_path}: is no object's name. Use s3://bucket/key.")
    for root in _roots(settings):
        prefix = root.rstrip("/") + "/"
        if prefix.startswith("s3://") and f"s3://{bucket}/{key}".startswith(prefix):
            return S3Place(f"s3://{bucket}/{key}", bucket, key)
    raise _outside(settings, file_path)


def _locate_file(settings: Settings, file_path: str) -> LocalPlace:
    path = Path(_local_path(file_path))
    if not path.is_absolute():
        raise PathNotAllowed(
            f"{file_path}: is relative, and a worker's folder is not the caller's. "
            "Use an absolute path."
        )
    try:
        resolved = path.resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links
        raise _outside(settings, file_path) from None
    for root in _roots(settings):
        if root.startswith("s3://"):
            continue
        folder = Path(_local_path(root)).resolve()
        if resolved != folder and resolved.is_relative_to(folder):
            return LocalPlace(str(path), folder, resolved)
    raise _outside(settings, file_path)


def _below_uploads(settings: Settings, place: Place) -> tuple[str, ...] | None:
    """The parts of the path below the uploads' folder; None if the document lies elsewhere.

    Whatever root allowed it: a configured folder around the uploads does not share them.
    """
    uploads = documents_root(settings)
    if isinstance(place, S3Place) and place.name.startswith(f"{uploads}/"):
        return tuple(place.name.removeprefix(f"{uploads}/").split("/"))
    if isinstance(place, LocalPlace) and not uploads.startswith("s3://"):
        folder = Path(uploads).resolve()
        if place.path.is_relative_to(folder):
            return place.path.relative_to(folder).parts
    return None


def _local_path(file_path: str) -> str:
    if not file_path.startswith("file://"):
        return file_path
    parts = urlsplit(file_path)
    if parts.netloc not in {"", "localhost"}:
        raise PathNotAllowed(f"{file_path}: names a machine. Use file:///path.")
    return unquote(file_path[len("file://") + len(parts.netloc) :])


def _roots(settings: Settings) -> tuple[str, ...]:
    return (documents_root(settings), *settings.document_roots)


def _outside(settings: Settings, file_path: str) -> PathNotAllowed:
    return PathNotAllowed(
        f"{file_path}: lies outside the folders documents are read from"
        f"{_list(_roots(settings))}. Upload it, or add its folder to LANEWAY_DOCUMENT_ROOTS."
    )


def _list(entries: tuple[str, ...]) -> str:
    return f" ({', '.join(entries)})" if entries else " (none so far)"
