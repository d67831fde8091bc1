"""Connections to Redis outside kombu's: with time-outs, and with errors that say the cure."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.retry import Retry

from laneway.tasks.broker.credentials import FileCredentials, credentials_of
from laneway.tasks.broker.sentinel import connect_sentinel, connect_sentinel_async
from laneway.tasks.errors import BrokerUnavailable, CatalogueError, SettingsError
from laneway.tasks.queues import Catalogue, Queue
from laneway.tasks.redis_urls import is_sentinel, without_login
from laneway.tasks.settings import Settings
from laneway.tasks.settings_urls import Access


def connect(
    url: str,
    timeout_s: float,
    ca_file: Path | None = None,
    credentials: FileCredentials | None = None,
    **options: Any,
) -> "redis.Redis":
    """A client whose every wait is bounded by `timeout_s`; answers are text.

    Args:
        url: the server's.
        timeout_s: longest wait, seconds.
        ca_file: CA certificates for rediss://.
        credentials: who logs in, in place of whom the URL names.
        options: further ones of redis-py.
    """
    # A closed pooled connection deserves a second try; a slow answer does not.
    once_more = Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,))
    options = {"retry": once_more, **_options(url, timeout_s, ca_file), **options}
    url = _logging_in(url, credentials, options)
    if is_sentinel(url):
        return connect_sentinel(url, **options)
    return redis.Redis.from_url(url, **options)


def _options(url: str, timeout_s: float, ca_file: Path | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
    }
    if urlsplit(url).scheme == "rediss":
        options |= {"ssl_cert_reqs": "required", "ssl_ca_certs": ca_file and str(ca_file)}
    return options


def _logging_in(url: str, credentials: FileCredentials | None, options: dict[str, Any]) -> str:
    """Add credentials to redis-py's options, which take them only beside a URL that names nobody."""
    if credentials is None:
        return url
    options["credential_provider"] = credentials
    return without_login(url)


def broker_client(settings: Settings, broker: str | None = None) -> "redis.Redis":
    """This process's client of a broker, of the one without a name if none is given.

    Safe across threads and forks.
    """
    return _broker_client(settings, broker)


@lru_cache(maxsize=32)
def _broker_client(settings: Settings, broker: str | None) -> "redis.Redis":
    return _connect(settings, broker_access(settings, broker))


def probe_client(settings: Settings, timeout_s: float) -> "redis.Redis":
    """A client of its own for who asks whether the broker without a name answers, and how soon."""
    return _connect(settings, settings.own_access, timeout_s)


def _connect(
    settings: Settings, access: Access, timeout_s: float | None = None, **options: Any
) -> "redis.Redis":
    wait_s = settings.broker_timeout_s if timeout_s is None else timeout_s
    return connect(access.url, wait_s, settings.broker_ca_file, credentials_of(access), **options)


def broker_access(settings: Settings, broker: str | None) -> Access:
    """The way in to a broker.

    Raises:
        SettingsError: LANEWAY_BROKERS has none of this name.
    """
    access = settings.broker_access(broker)
    if access is None:
        raise SettingsError(
            f"LANEWAY_BROKERS names no broker {broker!r}. Add {broker}=redis://host:6379/0 to it."
        )
    return access


def broker_url(settings: Settings, broker: str | None) -> str:
    """Its URL alone; raises as `broker_access` does."""
    return broker_access(settings, broker).url


def lane_client(settings: Settings, queue: Queue) -> "redis.Redis":
    """This process's client of the broker that holds a lane."""
    return broker_client(settings, queue.broker)


@contextmanager
def reaching_lane(
    settings: Settings, queue: Queue, consequence: str = ""
) -> "Iterator[redis.Redis]":
    """The client of a lane's broker; a failure inside the block becomes BrokerUnavailable."""
    with reaching(broker_url(settings, queue.broker), consequence):
        yield lane_client(settings, queue)


def check_brokers(settings: Settings, catalogue: Catalogue) -> None:
    """Refuse a catalogue with a lane on a broker that the settings do not know.

    Raises:
        CatalogueError: names the lane, the broker and the cure.
    """
    for lane, queue in catalogue.items():
        if settings.broker_named(queue.broker) is None:
            known = ", ".join(name for name, _ in settings.brokers) or "none"
            raise CatalogueError(
                f"{catalogue.source}: queues.{lane}.broker is {queue.broker!r}, which is none of "
                f"LANEWAY_BROKERS ({known}). Add {queue.broker}=redis://host:6379/0 to "
                "LANEWAY_BROKERS, or correct the field."
            )


def link_client(settings: Settings, broker: str | None = None) -> "redis.Redis":
    """A client whose pool a worker's link takes its connections from: one try, plain bytes."""
    never = Retry(NoBackoff(), 0)
    access = broker_access(settings, broker)
    return _connect(settings, access, retry=never, decode_responses=False)


@lru_cache(maxsize=4)
def result_client(settings: Settings) -> "redis.Redis":
    """This process's client of the result store."""
    return _connect(settings, settings.result_access)


def result_client_async(settings: Settings) -> "redis.asyncio.Redis":
    """A new client of the result store, for an event loop."""
    import redis.asyncio as redis_asyncio

    access = settings.result_access
    options = _options(access.url, settings.broker_timeout_s, settings.broker_ca_file)
    url = _logging_in(access.url, credentials_of(access), options)
    if is_sentinel(url):
        return connect_sentinel_async(url, **options)
    return redis_asyncio.Redis.from_url(url, **options)


def without_password(url: str) -> str:
    """The URL as it may be shown."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{parts.username or ''}:***@{place}").geturl()


@contextmanager
def reaching(url: str, consequence: str = "") -> Iterator[None]:
    """Turn a Redis failure inside the block into BrokerUnavailable.

    Args:
        url: the server's.
        consequence: what the failure means for the caller, one sentence.

    Raises:
        BrokerUnavailable: names the server, the reason and the cure.
    """
    try:
        yield
    except BrokerUnavailable:
        raise  # told by a block inside this one, perhaps of another server
    except (RedisError, OSError) as error:
        told = (
            f"Redis at {without_password(url)} does not serve ({_reason(error)}). {cure_of(error)}"
        )
        raise BrokerUnavailable(f"{told} {consequence}".rstrip()) from error


def cure_of(error: Exception) -> str:
    """What is to be done where Redis does not serve."""
    if isinstance(error, NoPermissionError):
        return "Give its user the rights that `laneway acl` prints for its role."
    if isinstance(error, AuthenticationError):
        return "Correct user and password in the settings, or in Redis: see `laneway acl`."
    return "Start it, or correct its URL in the settings; `laneway doctor` checks it."


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
