"""kombu's options: bounded waits for every socket, and keys of its own for every lane.

Stock kombu keeps what all workers of a database hold under one key, so that the shortest
visibility time-out of any lane wins. Here a worker consumes one lane and says so in its keys.
"""

from typing import Any
from urllib.parse import urlsplit

from laneway.tasks.broker import keys
from laneway.tasks.queues import Queue
from laneway.tasks.settings import Settings

SWEEP_INTERVAL_S = 5


def producer_options(settings: Settings) -> dict[str, Any]:
    """Transport options of a process that publishes. Half the time-out a try: there are two."""
    return {**_sockets(settings.broker_timeout_s / 2), "priority_steps": list(keys.PRIORITY_STEPS)}


def consumer_options(settings: Settings, lane: str, queue: Queue) -> dict[str, Any]:
    """Transport options of the worker of one lane."""
    return {
        **_sockets(settings.broker_timeout_s),
        "priority_steps": list(keys.PRIORITY_STEPS),
        "unacked_key": keys.unacked(lane),
        "unacked_index_key": keys.unacked_index(lane),
        "unacked_mutex_key": keys.unacked_mutex(lane),
        "visibility_timeout": queue.lease_seconds,
        "unacked_restore_interval": SWEEP_INTERVAL_S,
        "unacked_restore_throttle": 1,
    }


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


def _sockets(timeout_s: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "socket_keepalive": True,
    }
