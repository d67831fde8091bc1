"""The platform on a primary that Sentinels name: worker, results, durability, remote control."""

from collections.abc import Iterator

import pytest
from celery.exceptions import OperationalError
from kombu.exceptions import OperationalError as KombuOperationalError

from broker.sentinel_harness import SentinelGroup, sentinel_group
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.client import broker_client
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import BrokerUnavailable
from lesson_harness import MODULES, client_of
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = [
    pytest.mark.platform,
    pytest.mark.timeout(240),
    # A connection that breaks while kombu makes its channel is left to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LANE = "high-priority"
TIMEOUT_S = "2"
REFUSED = (BrokerUnavailable, OperationalError, KombuOperationalError, OSError)


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelGroup]:
    with sentinel_group(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest.fixture(scope="module")
def app(group: SentinelGroup) -> Iterator[LanewayApp]:
    with client_of(group, result_url=group.url, broker_timeout_s=TIMEOUT_S) as made:
        yield made


@pytest.fixture(scope="module", autouse=True)
def worker(
    group: SentinelGroup, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningWorker]:
    folder = tmp_path_factory.mktemp("worker")
    given = {"task_modules": MODULES, "result_url": group.url, "broker_timeout_s": TIMEOUT_S}
    with running_worker(LANE, folder, group.url, **given) as running:
        yield running


def add(app: LanewayApp, number: int):
    return app.tasks["lane.add"].apply_async([number, 1], queue=LANE)


def test_tasks_run_and_their_results_are_read(app) -> None:
    results = [add(app, number) for number in range(20)]
    assert [result.get(timeout=30) for result in results] == list(range(1, 21))


def test_a_submit_waits_for_the_replica_that_it_asked_for(app) -> None:
    found = submit("lane.add", {"x": 1, "y": 2}, queue=LANE, durability="replica", app=app)
    assert found.durability.level == "replica"
    assert app.AsyncResult(found.task_id).get(timeout=30) == 3


def test_remote_control_reaches_the_worker(app) -> None:
    (answer,) = wait_for(lambda: app.control.ping(timeout=5, limit=1), "an answer")
    assert next(iter(answer.values())) == {"ok": "pong"}


def test_the_worker_goes_on_at_the_new_primary(app, group, worker) -> None:
    """Last, as the module's primary is gone afterwards."""
    group.primary.kill()

    def accepted() -> object:
        try:
            return add(app, 41)
        except REFUSED:
            return None

    result = wait_for(accepted, "a primary that accepts", 60)
    assert result.get(timeout=60) == 42
    assert group.primary_port() == group.replica.port
    assert worker.process.poll() is None
    client = broker_client(app.settings)
    wait_for(lambda: read_backlogs(client, [LANE])[LANE].in_flight == 0, "the ack")
    assert wait_for(lambda: app.control.ping(timeout=5, limit=1), "an answer at the new primary")
