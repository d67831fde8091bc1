"""The cluster, and a release in it for each file of tests."""

import os
import shutil
from collections.abc import Iterator

import pytest

from cluster.kube import run
from cluster.release import RESTRICTED, Release, namespace


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
