"""promtool, found or asked for: without it these tests fail, they are never skipped."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from laneway.observability.mixin.write import rule_files

ROOT = Path(__file__).parents[2]
FETCHED = ROOT / ".cache" / "observed" / "promtool"


@pytest.fixture(scope="session")
def promtool(request: pytest.FixtureRequest) -> str:
    """The path of promtool: the one that was named, the fetched one, or the one on PATH."""
    named = request.config.getoption("--promtool")
    found = named or (str(FETCHED) if FETCHED.exists() else shutil.which("promtool"))
    if not found or not Path(found).exists():
        pytest.fail(f"no promtool: put it at {FETCHED}, on PATH, or name it with --promtool PATH")
    return found


@pytest.fixture
def check_rules(promtool: str, tmp_path: Path) -> Callable[..., None]:
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
