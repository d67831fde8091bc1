"""The loss ledger of a cluster: pods and nodes are hurt while tasks run, and none may be lost."""

import time
from collections.abc import Iterator

import pytest

from cluster import nodes
from cluster.kube import name_of, run, wait_until
from cluster.ledger_space import Arena, open_arena
from cluster.verdicts import Table, nothing_cut, nothing_lost
from faults.ledger import Ledger

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

HURT = "node-2"


@pytest.fixture(scope="module")
def arena(image: str) -> Iterator[Arena]:
    with open_arena("faults", image) as arena:
        yield arena


@pytest.fixture(autouse=True)
def whole(arena: Arena) -> None:
    """Each fault meets a healthy lane, spread over both nodes."""
    arena.all_ready()
    if not nodes.on(arena.space, HURT, arena.lane):
        arena.space.kubectl("rollout", "restart", "deployment/laneway-worker-work")
        arena.space.kubectl("rollout", "status", "deployment/laneway-worker-work", "--timeout=180s")
    assert nodes.on(arena.space, HURT, arena.lane)


def test_deleted_pods_finish_what_they_run(arena: Arena, table: Table) -> None:
    with arena.book() as ledger:
        with arena.sending(150, 0.15, (0.5, 4)):
            for _ in range(5):
                time.sleep(3)
                arena.space.kubectl("delete", "pod", name_of(arena.workers()[0]), "--wait=false")
        arena.settle(ledger)
        verdict, killed = ledger.verdict(), ledger.under_way()
    table.add("pod deleted", 5, verdict)
    nothing_cut(verdict, killed)


def test_a_drained_node_hands_over_in_order(arena: Arena, table: Table) -> None:
    with arena.book() as ledger:
        with arena.sending(150, 0.15, (0.5, 4)):
            for _ in range(2):
                words = [
                    "--ignore-daemonsets",
                    "--delete-emptydir-data",
                    "--force",
                    "--timeout=180s",
                ]
                selector = ["--pod-selector", arena.lane]
                run("kubectl", "drain", HURT, *words, *selector, timeout_s=200)
                arena.all_ready()
                run("kubectl", "uncordon", HURT)
        arena.settle(ledger)
        verdict, killed = ledger.verdict(), ledger.under_way()
    table.add("node drained", 2, verdict)
    nothing_cut(verdict, killed)


def test_what_a_killed_container_ran_is_run_by_another(arena: Arena, table: Table) -> None:
    with arena.book() as ledger:
        with arena.sending(150, 0.15, (0.5, 4)):
            for _ in range(6):
                time.sleep(3)
                victim = arena.workers()[0]
                nodes.kill_container(victim)
                ledger.cut(name_of(victim))
        arena.settle(ledger)
        verdict = ledger.verdict()
    table.add("container killed by SIGKILL", 6, verdict)
    nothing_lost(verdict)


def test_a_task_that_takes_all_memory_takes_no_other_along(arena: Arena, table: Table) -> None:
    with arena.book() as ledger:
        with arena.sending(3, 1, (0, 0), task="faults.hog"):
            pass
        hogs = set(ledger.accepted())
        with arena.sending(100, 0.2, (0.5, 3)):
            wait_until("the hogs are dead letters", lambda: arena.lane_state()["dead"] == 3, 240)
        arena.settle(ledger, hogs)
        for run_ in ledger.runs():
            if run_.task_id in hogs:
                ledger.cut(run_.worker, run_.started_s)
        verdict = ledger.verdict(hogs)
    table.add("out of memory", sum(r.task_id in hogs for r in ledger.runs()), verdict, dead=3)
    nothing_lost(verdict)


def test_a_node_without_power_loses_nothing(arena: Arena, table: Table) -> None:
    with arena.book() as ledger:
        with arena.sending(200, 0.4, (0.5, 4)):
            time.sleep(5)
            victims = nodes.on(arena.space, HURT, arena.lane)
            since_s = time.monotonic()
            nodes.power_off(HURT)
            for victim in victims:
                ledger.cut(victim, since_s)
            arena.all_ready()
        arena.settle(ledger)
        verdict = ledger.verdict()
        nodes.power_on(HURT)
    table.add("node without power", 1, verdict)
    nothing_lost(verdict)


def test_a_partitioned_workers_late_ack_changes_nothing(arena: Arena, table: Table) -> None:
    dead = arena.lane_state()["dead"]
    with arena.book() as ledger:
        with arena.sending(200, 0.4, (0.5, 20)):
            time.sleep(10)
            victims = nodes.on(arena.space, HURT, arena.lane)
            since_s = time.monotonic()
            nodes.cut_off(HURT)
            arena.all_ready()
            nodes.heal(HURT)
            for victim in victims:
                ledger.cut(victim, since_s)
        arena.settle(ledger)
        held = lambda: arena.lane_state()["in_flight"] == 0  # noqa: E731
        wait_until("nothing is in flight", held, 60)
        verdict, late = ledger.verdict(), ends_after(ledger, victims, since_s)
        state = arena.lane_state()
        assert state["dead"] == dead
    table.add("node partitioned, its workers running on", 1, verdict)
    nothing_lost(verdict)
    assert late, "no partitioned worker ended a task late: nothing was shown"
    assert state["ready"] == 0


def ends_after(ledger: Ledger, workers: list[str], since_s: float) -> list[str]:
    """Tasks that a worker ended after it had been cut off."""
    return [
        run_.task_id
        for run_ in ledger.runs()
        if run_.worker in workers and run_.ended_s is not None and run_.ended_s > since_s
    ]
