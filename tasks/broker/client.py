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

from laneway.tasks.broker.sentinel import connect_sentinel, connect_sentinel_async
from laneway.tasks.errors import BrokerUnavailable, CatalogueError, SettingsError
from laneway.tasks.queues import Catalogue, Queue
from laneway.tasks.redis_urls import is_sentinel
from laneway.tasks.settings import Settings


def connect(
    url: str, timeout_s: float, ca_file: Path | None = None, **options: Any
) -> "redis.Redis":
    """A client whose every wait is bounded by `timeout_s`; answers are text."""
    # A closed pooled connection deserves a second try; a slow answer does not.
    once_more = Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,))
    options = {"retry": once_more, **_options(url, timeout_s, ca_file), **options}
    if is_sentinel(url):
        return connect_sentinel(url, **options)
    return redis.Redis.from_url(url, **options)


def connect_async(url: str, timeout_s: float, ca_file: Path | None = None) -> "redis.asyncio.Redis":
    """The same for an event loop."""
    import redis.asyncio as redis_asyncio

    options = _options(url, timeout_s, ca_file)
    if is_sentinel(url):
        return connect_sentinel_async(url, **options)
    return redis_asyncio.Redis.from_url(url, **options)


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


def broker_client(settings: Settings, broker: str | None = None) -> "redis.Redis":
    """This process's client of a broker, of the one without a name if none is given.

    Safe across threads and forks.
    """
    return _broker_client(settings, broker)


@lru_cache(maxsize=32)
def _broker_client(settings: Settings, broker: str | None) -> "redis.Redis":
    url = broker_url(settings, broker)
    return connect(url, settings.broker_timeout_s, settings.broker_ca_file)


def broker_url(settings: Settings, broker: str | None) -> str:
    """URL of a broker with its credentials.

    Raises:
        SettingsError: LANEWAY_BROKERS has none of this name.
    """
    url = settings.broker_named(broker)
    if url is None:
        raise SettingsError(
            f"LANEWAY_BROKERS names no broker {broker!r}. Add {broker}=redis://host:6379/0 to it."
        )
    return url


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
    timeout_s, ca_file = settings.broker_timeout_s, settings.broker_ca_file
    url = broker_url(settings, broker)
    return connect(url, timeout_s, ca_file, retry=never, decode_responses=False)


@lru_cache(maxsize=4)
def result_client(settings: Settings) -> "redis.Redis":
    """This process's client of the result store."""
    return connect(settings.results, settings.broker_timeout_s, settings.broker_ca_file)


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
