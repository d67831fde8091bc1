"""kombu's options for each kind of process, and a worker's link to its lane."""

from typing import Any
from urllib.parse import urlsplit

import kombu
from celery.app.amqp import AMQP

from laneway.tasks.broker import keys
from laneway.tasks.broker.client import broker_access, link_client
from laneway.tasks.broker.commands import HoldOptions
from laneway.tasks.broker.credentials import credentials_of
from laneway.tasks.broker.link import LaneLink
from laneway.tasks.broker.publish import Room
from laneway.tasks.broker.sentinel import kombu_options, kombu_url
from laneway.tasks.broker.transport import (
    SentinelTransport,
    Transport,
    new_connection,
    worker_name,
)
from laneway.tasks.queues import Catalogue, Queue
from laneway.tasks.redis_urls import is_sentinel
from laneway.tasks.settings import Settings

TRANSPORT = f"{Transport.__module__}:{Transport.__qualname__}"
SENTINEL_TRANSPORT = f"{SentinelTransport.__module__}:{SentinelTransport.__qualname__}"


class Connection(kombu.Connection):
    """kombu's, which takes its credentials from an option of its transport.

    Celery hands on none in kombu's own way, but for a class without arguments in the URL.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        given = (options.get("transport_options") or {}).get("credential_provider")
        super().__init__(*args, **{"credential_provider": given, **options})


class LanewayAmqp(AMQP):
    """What Celery publishes and consumes with; on our connections."""

    Connection = Connection


def transport_of(settings: Settings, url: str) -> str | None:
    """Which transport serves a broker; None for the one that kombu has for the URL."""
    if settings.transport != "laneway":
        return None
    return SENTINEL_TRANSPORT if is_sentinel(url) else TRANSPORT


def kombu_broker(url: str) -> str:
    """A broker's URL as kombu reads it."""
    return kombu_url(url) if is_sentinel(url) else url


def producer_options(
    settings: Settings, catalogue: Catalogue | None = None, broker: str | None = None
) -> dict[str, Any]:
    """Transport options of a process that publishes. Half the time-out a try: there are two.

    Args:
        settings: its settings.
        catalogue: what its lanes may hold; None for a worker, which is never refused, since it
            publishes what its tasks go on with.
        broker: whose lanes are published to.
    """
    options = _options(settings, broker, settings.broker_timeout_s / 2)
    if catalogue is None or settings.transport != "laneway":
        return options
    lengths = {n: queue.max_length for n, queue in catalogue.items() if queue.broker == broker}
    return {**options, "room": Room(lengths, settings.broker_memory_watermark)}


def consumer_options(settings: Settings, lane: str, queue: Queue, link: LaneLink) -> dict[str, Any]:
    """Transport options of the worker of one lane."""
    options = _options(settings, queue.broker, settings.broker_timeout_s)
    if settings.transport == "laneway":
        return {**options, "lane_link": link}
    # Stock kombu keeps what all workers of a database hold under one key, if nobody names others,
    # and the shortest visibility time-out of any lane then wins. It renews nothing.
    held = keys.stock_unacked(lane)
    return {
        **options,
        "unacked_key": held,
        "unacked_index_key": f"{held}_index",
        "unacked_mutex_key": f"{held}_mutex",
        "visibility_timeout": max(queue.lease_seconds, queue.time_limit + 60),
    }


def make_link(settings: Settings, lane: str, queue: Queue) -> LaneLink:
    """The link of this process's worker to its lane; it connects once it is attached."""
    pool = link_client(settings, queue.broker).connection_pool
    kept = queue.dead_letter_retention
    options = HoldOptions(
        lane=lane,
        worker=worker_name(lane),
        lease_ms=queue.lease_seconds * 1000,
        max_deliveries=queue.max_deliveries,
        message_limit_bytes=settings.message_limit_bytes,
        dead_kept=kept.count,
        dead_kept_ms=kept.seconds * 1000,
    )
    return LaneLink(options, lambda: new_connection(pool), timeout_s=settings.broker_timeout_s)


def tls_options(settings: Settings, url: str) -> dict[str, Any] | None:
    """TLS options for kombu and the result backend; None for a URL without TLS.

    kombu's own default for rediss:// accepts any certificate; Laneway demands a valid one.
    """
    if urlsplit(url).scheme != "rediss":
        return None
    import ssl

    ca_file = settings.broker_ca_file
    return {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        **({"ssl_ca_certs": str(ca_file)} if ca_file else {}),
    }


def _options(settings: Settings, broker: str | None, timeout_s: float) -> dict[str, Any]:
    access = broker_access(settings, broker)
    return {
        **kombu_options(access.url),
        "credential_provider": credentials_of(access),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
        "priority_steps": list(keys.PRIORITY_STEPS),
    }
