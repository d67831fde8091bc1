"""The faults that are quick to inject, against Laneway alone; `python -m faults` has them all."""

import pytest

from faults.catalogue import FAULTS
from faults.fault import Fault, Row
from faults.runner import JOBS, run_all

pytestmark = [pytest.mark.platform, pytest.mark.timeout(400)]

SEED = 1
SHORT = [fault for fault in FAULTS if fault.sizes.short]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    """What came of each fault; they mostly wait, so that several at a time take no longer."""
    ran = run_all([(fault, fault.sizes.short) for fault in SHORT], ["laneway"], SEED, JOBS)
    return {row.fault: row for row in ran}


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.name)
def test_nothing_is_lost_and_nothing_repeated_without_cause(fault: type[Fault], rows) -> None:
    row = rows[fault.name]
    assert row.broken == ()
    assert row.verdict.lost == ()
    assert row.verdict.repeated_without_cause == 0
    assert row.injected == fault.sizes.short
    assert row.verdict.ran > 0
