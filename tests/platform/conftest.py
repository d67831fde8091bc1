"""What tests of whole processes share: a Redis and a trace collector for each test file."""

from collections.abc import Iterator

import pytest

from otlp_collector import Collector
from redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def module_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis that no other file uses, and that nothing empties between tests."""
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly="yes") as server:
        yield server


@pytest.fixture(scope="module")
def module_collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()
