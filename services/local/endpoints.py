"""Where the metrics of a running platform are, kept in its folder for other processes to find."""

import json
from collections.abc import Mapping
from pathlib import Path

_FILE = "endpoints.json"


def write_endpoints(folder: Path, endpoints: Mapping[str, str]) -> None:
    """Keep the URL of each part's metrics; who reads meanwhile sees all of it or none."""
    fresh = folder / f"{_FILE}.new"
    fresh.write_text(json.dumps(dict(endpoints)) + "\n")
    fresh.replace(folder / _FILE)


def forget_endpoints(folder: Path) -> None:
    """The platform has ended."""
    (folder / _FILE).unlink(missing_ok=True)


def read_endpoints(folder: Path) -> dict[str, str]:
    """The URL of each part's metrics: `gateway`, and `worker-LANE`; none if no platform is up there."""
    try:
        found = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return {str(name): str(url) for name, url in found.items()} if isinstance(found, dict) else {}
