"""The faults that are quick to inject, against Laneway alone; `python -m faults` has them all."""

import pytest

from faults.catalogue import FAULTS
from faults.fault import Fault
from faults.runner import run_one

pytestmark = [pytest.mark.platform, pytest.mark.timeout(120)]

SEED = 1
SHORT = [fault for fault in FAULTS if fault.sizes.short]


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_is_lost_and_nothing_repeated_without_cause(fault: Fault, tmp_path) -> None:
    row = run_one(fault, "laneway", fault.sizes.short, SEED, tmp_path)
    assert row.broken == ()
    assert row.verdict.lost == ()
    assert row.verdict.repeated_without_cause == 0
    assert row.injected == fault.sizes.short
    assert row.verdict.ran > 0
