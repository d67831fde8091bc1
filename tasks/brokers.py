"""Lanes on several brokers: producers for each, and word to the workers of all.

Celery knows one broker. A worker's is that of its lane, everybody else's is the one without a name;
for what is published to a lane on another, a producer of that one comes from here.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from celery.app.control import Control
from kombu import pools
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from laneway.tasks.broker.client import broker_url
from laneway.tasks.broker.options import (
    kombu_broker,
    producer_options,
    tls_options,
    transport_of,
)

_MARK = "laneway_broker"
"""Attribute of a producer that was made for another broker than Celery's: its name."""

_pools: "WeakKeyDictionary[Any, dict[tuple[int, str | None], Any]]" = WeakKeyDictionary()
"""By app, then by process and broker: a forked child has connections of its own."""


def broker_of(app: Any, producer: Any) -> str | None:
    """The broker that a producer publishes to."""
    broker: str | None = getattr(producer, _MARK, app.broker)
    return broker


@contextmanager
def producer_of(app: Any, broker: str | None) -> Iterator[Any]:
    """A producer for the lanes of a broker."""
    if broker == app.broker:
        with app.producer_or_acquire() as producer:
            yield producer
        return
    pool = _pool(app, broker)
    with pool.acquire(block=True, timeout=app.conf.broker_pool_acquire_timeout) as producer:
        setattr(producer, _MARK, broker)
        yield producer


@contextmanager
def fitting(app: Any, broker: str | None, options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of a publish, with a producer of this broker in place of another's."""
    with producer_of(app, broker) as producer:
        yield {**options, "producer": producer}


@contextmanager
def connection_of(app: Any, broker: str | None) -> Iterator[Any]:
    """A connection to a broker, from its pool."""
    if broker == app.broker:
        with app.connection_or_acquire() as connection:
            yield connection
        return
    connections = _pool(app, broker).connections
    with connections.acquire(
        block=True, timeout=app.conf.broker_pool_acquire_timeout
    ) as connection:
        yield connection


class EveryBroker(Control):
    """Celery's remote control, heard by the workers of every broker that the catalogue names."""

    def broadcast(
        self,
        command: str,
        arguments: Any = None,
        destination: Any = None,
        connection: Any = None,
        **options: Any,
    ) -> Any:
        """Tell all workers, and gather their replies; a given connection is the only one used.

        A broker that does not answer keeps the others from nothing; its error comes afterwards.
        """
        brokers = self.app.catalogue.brokers
        if connection is not None:
            return self._plain.broadcast(command, arguments, destination, connection, **options)
        if brokers == [self.app.broker]:
            return super().broadcast(command, arguments, destination, **options)
        replies, errors = list[Any](), list[Exception]()
        for broker in brokers:
            try:
                with connection_of(self.app, broker) as one:
                    said = self._plain.broadcast(command, arguments, destination, one, **options)
                    replies += said or []
            except (RedisError, OperationalError, OSError) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return replies if options.get("reply") else None

    @cached_property
    def _plain(self) -> Control:
        """Celery's own, which would publish by the app's producers whatever connection is given."""
        control = Control(self.app)
        control.mailbox.producer_pool = None
        return control


def _pool(app: Any, broker: str | None) -> Any:
    """The pool of producers for a broker that is not Celery's own."""
    of_app = _pools.setdefault(app, {})
    key = (os.getpid(), broker)
    if key not in of_app:
        _ = app.pool  # sets the limits of kombu's pools, and has them cleared after a fork
        of_app[key] = pools.producers[_connection(app, broker)]
    return of_app[key]


def _connection(app: Any, broker: str | None) -> Any:
    url = broker_url(app.settings, broker)
    # A worker is never refused; see `broker/publish.py`.
    catalogue = app.catalogue if app.lane is None else None
    options = {"lane_link": None, "room": None, **producer_options(app.settings, catalogue, broker)}
    ssl = tls_options(app.settings, url) or False
    transport = transport_of(app.settings, url)
    return app.connection_for_write(
        kombu_broker(url), ssl=ssl, transport=transport, transport_options=options
    )
