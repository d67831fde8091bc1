"""The URLs among the settings, and maps of them by name."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from laneway.tasks.redis_urls import is_sentinel, parse_sentinel
from laneway.tasks.settings_files import PasswordFile

Value = TypeVar("Value")

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,46}[a-z0-9])?")
"""A DNS label, as the name of a lane."""


def _pairs(value: object) -> object:
    """A map, its JSON, or `NAME=VALUE,NAME=VALUE`, as pairs.

    Raises:
        ValueError: it is none of them; the message quotes nothing, which may be secret.
    """
    if isinstance(value, str):
        value = _read(value.strip())
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple):
        raise ValueError("must be NAME=VALUE, comma-separated, or a map")  # noqa: TRY004 - pydantic's
    names = [str(name) for name, _ in pairs]
    if not all(map(_NAME.fullmatch, names)):
        raise ValueError(
            "must be NAME=VALUE, comma-separated, or a map. A name is of lower-case letters, digits "
            "and hyphens, such as hot=redis://hot:6379/0; a comma in a URL is to be percent-encoded"
        )
    if len(set(names)) < len(names):
        raise ValueError("gives a name twice: each is to have one value")
    return tuple(pairs)


def _read(text: str) -> object:
    if not text.startswith("{"):
        parts = (part.partition("=") for part in text.split(",") if part.strip())
        return [(name.strip(), value.strip()) for name, _, value in parts]
    try:
        return json.loads(text)
    except ValueError:  # whose own message would quote what it read
        raise ValueError("begins as JSON does, but is none") from None


ByName = Annotated[tuple[tuple[str, Value], ...], NoDecode, BeforeValidator(_pairs)]
"""A map that can be hashed: `NAME=VALUE,…` or JSON in the environment, a map in YAML."""


def check_redis_url(value: str, what: str = "") -> None:
    """Raises ValueError unless the URL is of a Redis server; `what` says whose it is."""
    if is_sentinel(value):
        _check_sentinel(value, what)
        return
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:  # whose own message would quote the URL, password and all
        raise ValueError(
            f"{what}is no URL such as redis://host:6379/0. Percent-encode what is special in a user "
            "or password, or give them as settings of their own"
        ) from None
    if parts.scheme not in {"redis", "rediss"}:
        raise ValueError(
            f"{what}must start with redis://, rediss:// or sentinel://. Unix sockets are not "
            "supported; lanes on a Redis Cluster are for apps of Celery's own: docs/redis.md"
        )


def _check_sentinel(value: str, what: str) -> None:
    try:
        parse_sentinel(value)
    except ValueError as error:
        raise ValueError(f"{what}cannot be used: {error}") from None


def same_server(url: str, other: str) -> bool:
    """Whether two URLs name the same server: by host and port, or by what Sentinels call it."""
    return _server(url) == _server(other)


def _server(url: str) -> object:
    if is_sentinel(url):
        named = parse_sentinel(url)
        return named.hosts, named.master
    parts = urlsplit(url)
    return parts.hostname, parts.port or 6379


@dataclass(frozen=True)
class Access:
    """A server's URL, without the password if a file holds it; then also who logs in with it."""

    url: str
    username: str | None = None
    password: PasswordFile | None = None

    @property
    def url_with_password(self) -> str:
        """For who cannot read a file, as stock Celery: the password is what was read at the start."""
        if self.password is None:
            return self.url
        return access_to(self.url, None, SecretStr(self.password.get_secret_value())).url


def access_to(url: str, username: str | None, password: SecretStr | None) -> Access:
    """Put a user and password that came separately to a URL, unless it holds a password itself."""
    parts = urlsplit(url)
    if password is None or parts.password is not None:
        return Access(url)
    user = unquote(parts.username or "") or username or ""
    login, place = quote(user, safe=""), parts.netloc.rpartition("@")[2]
    if isinstance(password, PasswordFile):
        netloc = f"{login}@{place}" if login else place
        return Access(urlunsplit(parts._replace(netloc=netloc)), user or None, password)
    netloc = f"{login}:{quote(password.get_secret_value(), safe='')}@{place}"
    return Access(urlunsplit(parts._replace(netloc=netloc)))
