"""A primary that Sentinel names: `sentinel://host:26379,host:26379/0?master=NAME`.

User and password in the URL are those of Redis itself. Whoever connects asks the Sentinels, in their
order, where the primary is, so that a connection made after a failover goes to the new one.
"""

from typing import Any
from urllib.parse import quote

import redis
from redis.sentinel import Sentinel

from laneway.tasks.redis_urls import SENTINEL, is_sentinel, parse_sentinel


def connect_sentinel(url: str, **options: Any) -> "redis.Redis":
    """A client of the primary; `options` are redis-py's, those of sockets for Sentinels as well."""
    client: redis.Redis = _primary(Sentinel, url, options)
    return client


def connect_sentinel_async(url: str, **options: Any) -> "redis.asyncio.Redis":
    """The same for an event loop."""
    from redis.asyncio.sentinel import Sentinel as AsyncSentinel

    client: redis.asyncio.Redis = _primary(AsyncSentinel, url, options)
    return client


def _primary(kind: Any, url: str, options: dict[str, Any]) -> Any:
    named = parse_sentinel(url)
    login = {"username": named.username, "password": named.password}
    given = {name: value for name, value in login.items() if value is not None}
    return kind(list(named.hosts), db=named.db, **given, **options).master_for(named.master)


def kombu_url(url: str) -> str:
    """The same in kombu's words, which name one Sentinel a URL."""
    named = parse_sentinel(url)
    login = ""
    if named.password is not None:
        login = f"{quote(named.username or '', safe='')}:{quote(named.password, safe='')}@"
    places = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in named.hosts]
    return ";".join(f"{SENTINEL}://{login}{place}/{named.db}" for place in places)


def kombu_options(url: str) -> dict[str, Any]:
    """Kombu's transport options that go with the URL; none for one that names no Sentinels."""
    return {"master_name": parse_sentinel(url).master} if is_sentinel(url) else {}
