"""docs/operations.md, run from the first command to the last."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.kube import CHART, ROOT, run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1500)]

GUIDE = ROOT / "docs" / "operations.md"
BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
LIMIT_S = 400


def chapters() -> dict[str, list[str]]:
    """The commands of each chapter, a script a block."""
    found: dict[str, list[str]] = {}
    for chapter in GUIDE.read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = chapter.partition("\n")
        found[title] = [
            re.sub(f"^{indent}", "", script, flags=re.MULTILINE)
            for indent, script in BLOCK.findall(text)
        ]
    return found


@pytest.fixture(scope="module")
def desk(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the chart, and values of one's own."""
    folder = tmp_path_factory.mktemp("operations")
    (folder / "charts").symlink_to(CHART.parent)
    repository, _, tag = image.rpartition(":")
    (folder / "my-values.yaml").write_text(f"image: {{repository: {repository}, tag: {tag}}}\n")
    run("kubectl", "delete", "namespace", "lanes", "--ignore-not-found")
    yield folder
    run("kubectl", "delete", "namespace", "lanes", "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize("chapter", chapters())
def test_every_command_works(desk: Path, chapter: str) -> None:
    scripts = chapters()[chapter]
    assert scripts, f"{chapter} says nothing to do"
    for script in scripts:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=desk,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"


def test_nothing_is_left(desk: Path) -> None:
    assert "lanes" not in run("kubectl", "get", "namespaces", "--output", "name")
    assert (desk / "laneway.rdb").stat().st_size > 0
