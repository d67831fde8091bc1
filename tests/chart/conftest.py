"""The programs that these tests take: without one they fail, they are never skipped."""

import pytest

from chart.golden import VALUES
from chart.programs import NAMES, MissingTool, program, schemas, use


def pytest_configure(config: pytest.Config) -> None:
    """Take the programs that were named."""
    for name in NAMES:
        if path := config.getoption(f"--{name}"):
            use(name, path)


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    try:
        schemas()
        for name in NAMES:
            program(name)
    except MissingTool as missing:
        pytest.fail(str(missing))


@pytest.fixture(params=VALUES)
def values(request: pytest.FixtureRequest):
    """The chart as it comes, then each example."""
    return VALUES[request.param]
