"""A primary that Sentinel names: `sentinel://host:26379,host:26379/0?master=NAME`.

User and password in the URL are those of Redis itself. Whoever connects asks the Sentinels, in their
order, where the primary is, so that a connection made after a failover goes to the new one.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import redis
from redis.sentinel import Sentinel

from laneway.tasks.broker.hosts import parse_hosts

SCHEME = "sentinel"
DEFAULT_PORT = 26_379
EXAMPLE = "sentinel://one:26379,two:26379/0?master=NAME"


@dataclass(frozen=True)
class SentinelUrl:
    """Where the Sentinels are, and what they call the primary."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int = 0
    username: str | None = None
    password: str | None = None


def is_sentinel(url: str) -> bool:
    """Whether a URL names Sentinels rather than a Redis."""
    return urlsplit(url).scheme == SCHEME


def parse_sentinel(url: str) -> SentinelUrl:
    """Read a URL.

    Raises:
        ValueError: it makes no sense; says why, without the password.
    """
    parts = urlsplit(url)
    masters = parse_qs(parts.query).get("master", [])
    if len(masters) != 1:
        raise ValueError(
            "a sentinel:// URL must name the primary, as in sentinel://host:26379/0?master=NAME"
        )
    db = parts.path.strip("/") or "0"
    if not db.isdecimal():
        raise ValueError(f"{db!r} is no number of a database, as the 0 in sentinel://host/0 is")
    hosts = parse_hosts(parts, DEFAULT_PORT, "a Sentinel", EXAMPLE)
    return SentinelUrl(hosts.places, masters[0], int(db), hosts.username, hosts.password)


def connect_sentinel(url: str, **options: Any) -> "redis.Redis":
    """A client of the primary; `options` are redis-py's, those of sockets for Sentinels as well."""
    named = parse_sentinel(url)
    login = {"username": named.username, "password": named.password}
    given = {name: value for name, value in login.items() if value is not None}
    places = list(named.hosts)
    sentinel = Sentinel(places, db=named.db, **given, **options)  # type: ignore[no-untyped-call]
    client: redis.Redis = sentinel.master_for(named.master)  # type: ignore[no-untyped-call]
    return client


def kombu_url(url: str) -> str:
    """The same in kombu's words, which name one Sentinel a URL."""
    named = parse_sentinel(url)
    login = ""
    if named.password is not None:
        login = f"{quote(named.username or '', safe='')}:{quote(named.password, safe='')}@"
    places = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in named.hosts]
    return ";".join(f"{SCHEME}://{login}{place}/{named.db}" for place in places)


def kombu_options(url: str) -> dict[str, Any]:
    """Kombu's transport options that go with the URL."""
    return {"master_name": parse_sentinel(url).master}
