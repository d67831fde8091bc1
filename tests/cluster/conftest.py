"""The cluster, and a release in it for each file of tests."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from cluster.kube import run
from cluster.release import RESTRICTED, Release, namespace
from cluster.verdicts import COLUMNS, Table

TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TOLD] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests measured."""
    for line in terminalreporter.config.stash[TOLD]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Callable[..., None]:
    """Have lines printed at the end."""
    return lambda *lines: pytestconfig.stash[TOLD].extend(lines)


@pytest.fixture(scope="module")
def table(tell: Callable[..., None]) -> Iterator[Table]:
    """The ledger's rows, a row a fault."""
    table = Table()
    yield table
    tell("", COLUMNS, "|---" * 9 + "|", *table.rows)


@pytest.fixture(scope="session")
def image() -> str:
    """Laneway's image, which the nodes have."""
    for tool in ("kubectl", "helm"):
        if shutil.which(tool) is None:
            pytest.fail(f"no {tool}: `make test-cluster` brings a cluster with both.")
    run("kubectl", "get", "nodes")
    return os.environ.get("IMAGE", "localhost/laneway:dev")  # noqa: TID251 - the tests' own variable


@pytest.fixture(scope="module")
def bare(image: str, request: pytest.FixtureRequest) -> Iterator[Release]:
    """A release with nothing given but the image, in a namespace that enforces `restricted`."""
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    with namespace(name, RESTRICTED) as space:
        release = Release(space, image)
        release.install()
        yield release
