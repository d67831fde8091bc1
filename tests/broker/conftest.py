"""An S3 server for the tests that keep their store there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from broker.s3_server import S3Server


@pytest.fixture(scope="session")
def s3_server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[S3Server]:
    """moto's server, or versitygw with `--s3-server PATH`."""
    binary = request.config.getoption("--s3-server")
    with S3Server(tmp_path_factory.mktemp("s3"), Path(binary) if binary else None) as running:
        yield running
