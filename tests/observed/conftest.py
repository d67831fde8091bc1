"""The programs that these tests take: without one they fail, they are never skipped."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from laneway.observability.mixin.write import rule_files

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / ".cache" / "observed"


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


@pytest.fixture
def check_rules(promtool: Path, tmp_path: Path) -> Callable[..., None]:
    """Run unit tests of rules; what promtool finds wrong is the failure's message.

    Of the alerts only the one that is named is evaluated: with all it takes twice as long.
    """

    def check(*tests: dict[str, Any], alertname: str = "") -> None:
        rules = {name: yaml.safe_load(text) for name, text in rule_files().items()}
        for group in rules["laneway.alerts.yaml"]["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule["alert"] == alertname]
        file = tmp_path / "tests.yaml"
        for name, content in rules.items():
            (tmp_path / name).write_text(yaml.safe_dump(content))
        content = {
            "rule_files": list(rules),
            "evaluation_interval": "30s",
            "fuzzy_compare": True,  # sums over days round
            "tests": list(tests),
        }
        file.write_text(yaml.safe_dump(content, sort_keys=False))
        done = subprocess.run(
            [promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    return check
