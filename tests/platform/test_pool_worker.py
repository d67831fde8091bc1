"""Odd tasks in a real worker on either pool: one outcome each, and their neighbours run."""

from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from lane_client import LaneClient, Sent, lane_client, write_catalogue
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

ODD = {
    "prerun": ("pool.hook", {"where": "prerun"}, "success", "SUCCESS"),
    "postrun": ("pool.hook", {"where": "postrun"}, "success", "SUCCESS"),
    "on_success": ("pool.hook", {"where": "on_success"}, "success", "SUCCESS"),
    "acknowledged early": ("pool.early", {}, "success", "SUCCESS"),
    "result of 50 MB": ("pool.give_much", {"megabytes": 50}, "success", "SUCCESS"),
}
ON_PROCESSES = {
    "reason that cannot be sent": ("pool.reject_oddly", {}, "failure", "FAILURE"),
    "fork that goes on": ("pool.fork", {}, "success", "SUCCESS"),
}
CASES = [
    *(
        pytest.param(pool, odd, id=f"{odd} on {pool}")
        for pool in ("processes", "threads")
        for odd in ODD
    ),
    *(pytest.param("processes", odd, id=odd) for odd in ON_PROCESSES),
]

POOLS = ["processes", "threads"]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    processes = {"concurrency": 2}
    threads = {**processes, "pool": "threads"}
    return write_catalogue(
        tmp_path_factory.mktemp("catalogue"),
        processes=processes,
        threads=threads,
        celerys_processes=processes,
        celerys_threads=threads,
        stopping=processes,
    )


@dataclass(frozen=True)
class Lived:
    """A worker after all its odd tasks, and what was sent to it, by name."""

    worker: RunningWorker
    client: LaneClient
    sent: dict[str, Sent]

    def live_through(self, odd):
        for name, (task, kwargs, _, _) in odd.items():
            self.sent[name] = self.client.send(task, **kwargs)
            for number in range(3):
                self.sent[f"{name}-{number}"] = self.client.send("lane.add", x=number, y=1)
        self.client.wait(*self.sent.values())
        told = self.worker.attempts
        wait_for(lambda: len(told()) >= len(self.sent), "all attempts to be told")
        return self


@pytest.fixture(scope="module")
def lives(module_redis, catalogue, tmp_path_factory):
    """By pool, a worker that lived through every odd task of that pool."""
    settings = {"queues_file": str(catalogue), "task_modules": "lane_tasks,pool_lane_tasks"}
    with ExitStack() as stack:
        lived = {}
        for pool in POOLS:
            folder = tmp_path_factory.mktemp(pool)
            worker = running_worker(pool, folder, module_redis.url, **settings)
            client = lane_client(module_redis.url, pool, catalogue)
            begun = Lived(stack.enter_context(worker), stack.enter_context(client), {})
            odd = ODD if pool == "threads" else {**ODD, **ON_PROCESSES}
            lived[pool] = begun.live_through(odd)
        yield lived


@pytest.mark.parametrize(("pool", "name"), CASES)
def test_an_odd_task_has_one_outcome(lives, pool, name):
    lived = lives[pool]
    _, _, outcome, state = {**ODD, **ON_PROCESSES}[name]
    attempts = lived.worker.attempts(lived.sent[name].id)
    assert [line["outcome"] for line in attempts] == [outcome]
    assert lived.sent[name].state == state


@pytest.mark.parametrize("pool", POOLS)
def test_every_neighbour_ran_once(lives, pool):
    lived = lives[pool]
    outcomes = {
        name: [line["outcome"] for line in lived.worker.attempts(each.id)]
        for name, each in lived.sent.items()
        if name[-1].isdigit()
    }
    assert outcomes == {name: ["success"] for name in outcomes}


@pytest.mark.parametrize("pool", POOLS)
def test_processes_are_called_as_celery_calls_them(lives, pool):
    lived = lives[pool]
    asked = [lived.client.send("pool.where") for _ in range(6)]
    lived.client.wait(*asked)
    for name, index, pid in (each.result for each in asked):
        if pool == "processes":
            assert name.startswith("ForkPoolWorker-")
            assert index in (0, 1)
            assert pid in lived.worker.pool_processes()
        else:
            assert (name, pid) == ("MainProcess", lived.worker.process.pid)


@pytest.mark.parametrize("lane", ["celerys-processes", "celerys-threads"])
def test_celerys_own_pools_can_be_chosen(module_redis, catalogue, tmp_path, lane):
    settings = {"queues_file": str(catalogue), "task_modules": "lane_tasks", "pool": "celery"}
    with (
        running_worker(lane, tmp_path, module_redis.url, **settings) as worker,
        lane_client(module_redis.url, lane, catalogue) as client,
    ):
        good = [client.send("lane.add", x=number, y=1) for number in range(20)]
        bad = client.send("lane.fail")
        assert client.wait(*good, bad) == [*["SUCCESS"] * 20, "FAILURE"]
        wait_for(lambda: len(worker.attempts()) == 21, "all attempts to be told")
        assert worker.stop() == 0


def test_a_worker_with_odd_tasks_behind_it_stops_cleanly(module_redis, catalogue, tmp_path):
    settings = {"queues_file": str(catalogue), "task_modules": "lane_tasks,pool_lane_tasks"}
    with (
        running_worker("stopping", tmp_path, module_redis.url, **settings) as worker,
        lane_client(module_redis.url, "stopping", catalogue) as client,
    ):
        running = client.send("pool.nap", seconds=1)
        wait_for(lambda: running.state == "STARTED", "the task to run")
        assert worker.stop() == 0
        assert running.state == "SUCCESS"
