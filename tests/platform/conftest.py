"""What tests of whole processes share: a Redis and a trace collector for each test file."""

from collections.abc import Iterator

import pytest

from otlp_collector import Collector
from redis_server import RedisServer, running_redis


@pytest.fixture(scope="module")
def module_redis(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A Redis that no other file uses, and that nothing empties between tests.

    A file whose programs need more than `laneway acl` gives to any role says `GUARDED = False`.
    """
    guarded = getattr(request.module, "GUARDED", True)
    folder = tmp_path_factory.mktemp("redis")
    with running_redis(folder, guarded=guarded, appendonly="yes") as server:
        yield server


@pytest.fixture(scope="module")
def module_collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()
