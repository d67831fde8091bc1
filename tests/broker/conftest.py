"""What tests with a Redis of their own share: an S3 server, a gateway, and clients of both."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from broker.s3_server import S3Server
from gateway_harness import calling, make_api
from redis_server import RedisServer


@pytest.fixture(scope="session")
def s3_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[S3Server]:
    """moto's server, or versitygw with `--s3-server PATH`."""
    binary = request.config.getoption("--s3-server")
    with S3Server(tmp_path_factory.mktemp("s3"), Path(binary) if binary else None) as running:
        yield running


@pytest.fixture
def api(redis_server: RedisServer):
    """The gateway; a file whose tests want other settings has its own."""
    return make_api(redis_server.url)


@pytest.fixture
def client(api):
    """Calls the gateway."""
    with calling(api) as client:
        yield client


@pytest.fixture
def redis(redis_server: RedisServer):
    """Looks into the Redis, and does what only its administrator may."""
    with redis_server.client() as client:
        yield client


@pytest.fixture
def raw(redis_server: RedisServer):
    """Looks into the Redis; answers are bytes, as they are for a link."""
    with Redis.from_url(redis_server.admin_url) as client:
        yield client


@pytest.fixture
def port(redis_server: RedisServer) -> int:
    """Of the Redis, for what makes connections of its own."""
    return redis_server.port
