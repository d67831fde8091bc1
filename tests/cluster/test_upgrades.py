"""Upgrades while tasks run: nothing lost, nothing killed, nothing run twice."""

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.kube import name_of, uids
from cluster.ledger_space import Arena, open_arena
from cluster.verdicts import Table, nothing_cut
from faults.ledger import Ledger, percentile

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1200)]

ROLLS = 20
WORKERS = 2
DEPLOYMENT = "deployment/laneway-worker-work"
(PREVIOUS,) = Path(__file__).with_name("previous").glob("laneway-*.tgz")
"""The chart as it was released last, by `helm package`."""


@pytest.fixture(scope="module")
def arena(image: str) -> Iterator[Arena]:
    # The upgrade replaces the trial Redis as well: the lease is the default's, which outlasts that.
    lane = {"replicas": WORKERS, "leaseSeconds": 60}
    with open_arena("upgrades", image, chart=PREVIOUS, **lane) as arena:
        yield arena


def test_an_upgrade_from_the_previous_chart_costs_no_task(arena: Arena, table: Table) -> None:
    before = uids(arena.workers())
    with arena.book() as ledger:
        with arena.sending(150, 0.15, (0.5, 2)):
            time.sleep(3)
            # A new version has a new image; here the annotation has pods replaced.
            arena.release.upgrade({"podAnnotations": {"example.org/version": "next"}})
            arena.space.kubectl("rollout", "status", DEPLOYMENT, "--timeout=120s")
        arena.settle(ledger)
        verdict, killed = ledger.verdict(), ledger.under_way()
    assert before.isdisjoint(uids(arena.workers())), "no worker was replaced: nothing was shown"
    table.add("helm upgrade from the previous chart", 1, verdict)
    nothing_cut(verdict, killed)


def test_twenty_rolling_upgrades_cost_no_task(arena: Arena, table: Table) -> None:
    pods: dict[str, dict[str, Any]] = {}
    with arena.book() as ledger:
        with arena.sending(700, 0.4, (0.3, 2)):
            for _ in range(ROLLS):
                arena.space.kubectl("rollout", "restart", DEPLOYMENT)
                arena.space.kubectl("rollout", "status", DEPLOYMENT, "--timeout=180s")
                pods |= {name_of(pod): pod for pod in arena.workers()}
        arena.settle(ledger)
        verdict, killed = ledger.verdict(), ledger.under_way()
        waits_s = sorted(starts_to_first_tasks_s(ledger, pods))
    assert len(pods) >= ROLLS * WORKERS
    table.add("rolling upgrade of the Deployment", ROLLS, verdict)
    shown = " / ".join(f"{percentile(waits_s, share) or 0:.0f}" for share in (0.5, 0.99))
    table.rows.append(f"Start of a pod's container to its first task, p50 / p99: {shown} s")
    nothing_cut(verdict, killed)


def starts_to_first_tasks_s(ledger: Ledger, pods: dict[str, dict[str, Any]]) -> Iterator[float]:
    """Of each pod that ran something; Kubernetes tells starts by the second."""
    first: dict[str, float] = {}
    for run in ledger.runs():
        first[run.worker] = min(run.started_s, first.get(run.worker, run.started_s))
    since_s = time.time() - time.monotonic()
    for name, started_s in first.items():
        if name in pods:
            status = pods[name]["status"]["containerStatuses"][0]
            told = datetime.fromisoformat(status["state"]["running"]["startedAt"])
            yield started_s + since_s - told.timestamp()
