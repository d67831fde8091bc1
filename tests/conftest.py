"""What every test shares: settings that nothing outside can change, and a Redis on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from acl_union import rights_of_all_roles
from redis_server import (
    RedisServer,
    guard,
    running_redis,
    server_version,
    take_refusals,
    use_server,
)
from secret_folder import LockedRedis, SecretFolder, locked_redis, mounted

settings.register_profile("thorough", max_examples=2_000, stateful_step_count=100, deadline=None)


@pytest.fixture(scope="session")
def _redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(_redis_server: RedisServer) -> RedisServer:
    """A real Redis, empty at the start of each test."""
    with _redis_server.client() as client:
        client.flushall()
    return _redis_server


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


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[LockedRedis]:
    """A Redis with a password, which `secret` holds."""
    with locked_redis(tmp_path / "redis", "one") as server:
        yield server


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SecretFolder:
    """A mounted Secret with the password of `locked`."""
    return mounted(monkeypatch, tmp_path / "secret", broker_password="one")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A LANEWAY_ variable of the person who runs the tests must not change their outcome."""
    import os

    for name in list(os.environ):  # noqa: TID251
        if name.startswith(("LANEWAY_", "OTEL_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANEWAY_STORAGE_URL", (tmp_path / "storage").as_uri())


@pytest.fixture(autouse=True)
def _nothing_is_refused() -> Iterator[None]:
    """Whatever the users of `laneway acl` may not do fails the test that it happens in."""
    yield
    assert take_refusals() == []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Servers other than those that are at hand."""
    parser.addoption("--s3-server", metavar="PATH", help="versitygw binary to test against")
    parser.addoption("--redis-server", metavar="PATH", help="Redis or Valkey to test against")
    for name in ("prometheus", "promtool", "otelcol"):
        parser.addoption(f"--{name}", metavar="PATH", help=f"{name} for tests/observed")
    for name in ("helm", "kubeconform", "kube-score"):
        parser.addoption(f"--{name}", metavar="PATH", help=f"{name} for tests/chart")


def pytest_configure(config: pytest.Config) -> None:
    """Take the Redis that was named."""
    if binary := config.getoption("--redis-server"):
        use_server(Path(binary).resolve(strict=True))
    guard(rights_of_all_roles(server_version()))
