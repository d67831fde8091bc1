"""The programs that these tests take: without one they fail, they are never skipped."""

import shutil
from pathlib import Path

import pytest

FETCHED = Path(__file__).parents[2] / ".cache" / "observed"


def _program(request: pytest.FixtureRequest, name: str) -> Path:
    """The one that an option names, the fetched one, or the one on PATH."""
    named = request.config.getoption(f"--{name}")
    found = named or (FETCHED / name if (FETCHED / name).exists() else shutil.which(name))
    if not found or not Path(found).exists():
        pytest.fail(f"no {name}: `make test-observed` brings it, or name one with --{name} PATH.")
    return Path(found)


@pytest.fixture(scope="session")
def promtool(request: pytest.FixtureRequest) -> Path:
    return _program(request, "promtool")


@pytest.fixture(scope="session")
def prometheus(request: pytest.FixtureRequest) -> Path:
    return _program(request, "prometheus")


@pytest.fixture(scope="session")
def otelcol(request: pytest.FixtureRequest) -> Path:
    return _program(request, "otelcol")
