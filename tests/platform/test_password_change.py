"""A worker whose password of Redis changes while it runs: it comes back, and what it holds stays."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lane_client import Hold, LaneClient, lane_client, once_each, write_catalogue
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = [
    pytest.mark.platform,
    pytest.mark.timeout(180),
    # A connection that breaks while kombu makes its channel is left to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LANE = "tough"


@pytest.fixture
def hold(tmp_path) -> Hold:
    return Hold(tmp_path)


@pytest.fixture
def catalogue(tmp_path) -> Path:
    return write_catalogue(tmp_path, tough={"concurrency": 2, "leaseSeconds": 5})


@pytest.fixture
def client(locked, secret, catalogue) -> Iterator[LaneClient]:
    with lane_client(locked.url, LANE, catalogue) as made:
        yield made


@pytest.fixture
def start(locked, secret, catalogue, tmp_path):
    """A worker; the password comes from the Secret that this process has mounted too."""
    modules = {"queues_file": str(catalogue), "task_modules": "lane_tasks,fate_tasks"}
    return lambda **given: running_worker(LANE, tmp_path, locked.url, **modules, **given)


def reconnects(worker: RunningWorker) -> float:
    return worker.metric("laneway_broker_reconnects_total")


def test_a_task_that_runs_is_neither_lost_nor_run_twice(start, client, locked, secret, hold):
    with start() as worker:
        held = client.send("fate.hold", **hold.kwargs)
        wait_for(hold.begun, "the task")
        for password, write in (("two", secret.write), ("three", secret.write_plainly)):
            before = reconnects(worker)
            write(broker_password=password)
            locked.change(password)
            wait_for(lambda before=before: reconnects(worker) > before, "its new connections")
            worker.wait_until_ready()
            assert client.wait(client.send("lane.add", x=1, y=2)) == ["SUCCESS"]
        hold.release()
        assert client.wait(held) == ["SUCCESS"]
        assert hold.marks() == once_each(held)
        assert len(worker.attempts(held.id)) == 1
        replies = wait_for(lambda: client.app.control.ping(timeout=5, limit=1), "an answer")
        assert list(replies[0].values()) == [{"ok": "pong"}]
        assert client.app.control.inspect(timeout=5).stats()
        assert worker.stop() == 0


def test_a_wrong_password_is_waited_out(start, client, locked, secret, hold):
    with start() as worker:
        held = client.send("fate.hold", **hold.kwargs)
        wait_for(hold.begun, "the task")
        secret.write(broker_password="wrong")
        locked.change("two")
        wait_for(lambda: worker.get("/readyz")[0] == 503, "the worker to notice")
        wait_for(lambda: locked.failed_logins() > 2, "tries with the wrong one")
        hold.release()
        wait_for(lambda: hold.marks()[f"ended {held.id}"], "the task to end without Redis")
        assert worker.get("/livez")[0] == 200
        secret.write(broker_password="two")
        worker.wait_until_ready()
        assert client.wait(held, client.send("lane.add", x=1, y=2)) == ["SUCCESS"] * 2
        assert hold.marks() == once_each(held)


def test_a_file_that_is_gone_for_a_moment_stops_no_worker(start, client, locked, secret):
    with start() as worker:
        secret.forget("broker_password")
        before = reconnects(worker)
        locked.cut()
        wait_for(lambda: reconnects(worker) > before, "its new connections")
        assert client.wait(client.send("lane.add", x=1, y=2)) == ["SUCCESS"]
        secret.write_plainly(broker_password="two")
        locked.change("two")
        assert client.wait(client.send("lane.add", x=1, y=2)) == ["SUCCESS"]


def test_kombus_own_transport_comes_back_too(start, client, locked, secret):
    """With it, what a worker held may run again: that is why it is not the default."""
    with start(transport="kombu"):
        assert client.wait(client.send("lane.add", x=1, y=2)) == ["SUCCESS"]
        secret.write(broker_password="two")
        locked.change("two")
        sent = [client.send("lane.add", x=n, y=2) for n in range(5)]
        wait_for(lambda: any(each.ended() for each in sent), "a task after the change")
