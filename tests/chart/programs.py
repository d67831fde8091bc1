"""The programs that stand on the chart: those that were named, fetched, or lie on PATH."""

import shutil
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "laneway"
FETCHED = ROOT / ".cache" / "chart"
NAMES = ("helm", "kubeconform", "kube-score")

OLDEST, NEWEST = "1.31.14", "1.37.2"
"""The Kubernetes that the chart is held against; `tools/chart_tools.sh` makes their schemas."""

_named: dict[str, str] = {}


class MissingTool(Exception):
    """A program or the schemas are missing; the message says the cure."""


def use(name: str, path: str) -> None:
    """Take this one, whatever else there is."""
    _named[name] = path


@cache
def program(name: str) -> str:
    """The path of a program.

    Raises:
        MissingTool: it is nowhere.
    """
    fetched = FETCHED / name
    found = _named.get(name) or (str(fetched) if fetched.exists() else shutil.which(name))
    if not found or not Path(found).exists():
        raise MissingTool(
            f"no {name}: `make test-chart` brings it, or name one with --{name} PATH."
        )
    return found


@cache
def schemas() -> Path:
    """The folder with the schemas of each Kubernetes.

    Raises:
        MissingTool: it is not there.
    """
    folder = FETCHED / "schemas"
    if not all((folder / f"v{version}").is_dir() for version in (OLDEST, NEWEST)):
        raise MissingTool(f"no schemas in {folder}: `make test-chart` makes them.")
    return folder
