"""Every alert in Prometheus's own hands: it fires, it is silent, absent series and resets are borne."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laneway.observability.mixin.alert import Alert, Links
from laneway.observability.mixin.alerts import ALERTS
from laneway.observability.mixin.write import write_rules
from observed.alert_case import KINDS, Case, unit_test
from observed.cases_burn import BURN_CASES
from observed.cases_failures import FAILURE_CASES
from observed.cases_lanes import LANE_CASES
from observed.cases_platform import PLATFORM_CASES

pytestmark = pytest.mark.observed

CASES = [*BURN_CASES, *LANE_CASES, *FAILURE_CASES, *PLATFORM_CASES]
BY_NAME = {(alert.name, alert.severity): alert for alert in ALERTS}


def named(case: Case) -> str:
    return case.name


@pytest.mark.parametrize("case", CASES, ids=named)
def test_an_alert_tells_what_it_should(case: Case, check_rules: Callable[..., None]) -> None:
    alert = BY_NAME[case.alert, case.severity]
    check_rules(unit_test(case, alert, Links()), alertname=alert.alertname)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_has_a_case_of_each_kind(alert: Alert) -> None:
    own = [case for case in CASES if (case.alert, case.severity) == (alert.name, alert.severity)]
    assert {case.kind for case in own} == set(KINDS)
    words = [case for case in own if case.kind == "fires" and case.description]
    assert words, "no case says what is told"


def test_promtool_finds_nothing_wrong_with_the_rules(promtool: str, tmp_path: Path) -> None:
    write_rules(tmp_path)
    files = sorted(map(str, tmp_path.iterdir()))
    done: Any = subprocess.run(
        [promtool, "check", "rules", "--lint=all", "--lint-fatal", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
