"""Whatever a task does to its process, it has one outcome, and the others run once."""

import pytest

from laneway.services.worker.pool import CeleryProcessPool, ProcessPool
from pool_cases import CASES, ONCE_EACH, Case, observe

pytestmark = [
    pytest.mark.platform,
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]

CONTRACT = (
    "returns",
    "raises",
    "sys.exit",
    "MemoryError",
    "SIGKILL",
    "soft limit",
    "soft limit handled",
    "terminated",
    "unpicklable result",
    "max tasks",
)
"""What code that runs in a pool may rely on; `bench.pool_table` shows the rest."""


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_task_has_one_outcome_and_its_neighbours_run_once(case: Case, tmp_path):
    seen = observe(case, ProcessPool, tmp_path)
    assert seen.told == case.expected
    assert seen.neighbours == ONCE_EACH


@pytest.mark.parametrize("case", [c for c in CASES if c.name in CONTRACT], ids=str)
def test_celerys_own_pool_does_the_same(case: Case, tmp_path):
    """What Laneway's pool is to keep is what Celery's does, and not what we think it does."""
    seen = observe(case, CeleryProcessPool, tmp_path)
    assert seen.told == case.expected
    assert seen.neighbours == ONCE_EACH
