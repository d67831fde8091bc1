"""Workers of lanes on two brokers, and a producer that knows both."""

import json

import pytest
from celery import chain, signature

from lane_brokers import HOME, HOT, two_brokers_app, write_two_lanes
from lane_client import Sent
from laneway.tasks.app import LanewayApp
from laneway.tasks.broker import keys
from laneway.tasks.dispatch import submit
from laneway.tasks.status import read_status, revoke
from redis_server import RedisServer, running_redis
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("brokers")


@pytest.fixture(scope="module")
def home(folder):
    with running_redis(folder / "home") as server:
        yield server


@pytest.fixture(scope="module")
def hot(folder):
    with running_redis(folder / "hot", requirepass="hush") as server:
        yield server


@pytest.fixture(scope="module")
def catalogue(folder):
    return write_two_lanes(folder, concurrency=2)


@pytest.fixture(scope="module")
def app(home: RedisServer, hot: RedisServer, catalogue):
    app = two_brokers_app(
        home,
        hot,
        catalogue,
        broker_passwords={"hot": "hush"},
        result_url=home.url.removesuffix("/0") + "/1",
        task_modules=(),
    )
    yield app
    app.close()


@pytest.fixture(scope="module")
def workers(home: RedisServer, hot: RedisServer, folder, catalogue):
    """One of each lane; the password of the second broker lies in a file of its own."""
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "broker_password_hot").write_text("hush\n")
    given = {
        "brokers": f"hot={hot.url}",
        "queues_file": str(catalogue),
        "secrets_dir": str(secrets),
    }
    with (
        running_worker(HOT, folder, home.url, **given) as of_hot,
        running_worker(HOME, folder, home.url, **given) as of_home,
    ):
        yield {HOT: of_hot, HOME: of_home}


def send(app: LanewayApp, queue: str, task: str = "lane.add", **kwargs) -> Sent:
    return Sent(app, app.send_task(task, kwargs=kwargs, queue=queue).id)


def ended(sent: Sent) -> str:
    wait_for(sent.ended, f"the end of {sent.id}")
    return sent.state


def ran_on(worker: RunningWorker, sent: Sent) -> bool:
    return bool(worker.attempts(sent.id))


def test_each_worker_serves_its_lane_on_its_broker(app, workers, hot) -> None:
    there, here = send(app, HOT, x=1, y=2), send(app, HOME, x=1, y=2)
    assert (ended(there), ended(here)) == ("SUCCESS", "SUCCESS")
    wait_for(lambda: ran_on(workers[HOT], there), "its log line")
    wait_for(lambda: ran_on(workers[HOME], here), "its log line")
    assert not ran_on(workers[HOME], there)
    with hot.client() as client:
        assert client.zcard(keys.leases(HOT)) == 1
        assert client.zcard(keys.leases(HOME)) == 0


def test_a_chain_goes_from_the_one_to_the_other_and_back(app, workers) -> None:
    add = signature("lane.add", app=app)
    steps = [add.clone(args=(1, 2)).set(queue=HOT)]
    steps += [add.clone(args=(3,)).set(queue=queue) for queue in (HOME, HOT)]
    sent = Sent(app, chain(*steps).apply_async().id)
    assert (ended(sent), sent.result) == ("SUCCESS", 9)


def test_a_retry_stays_with_its_lane(app, workers) -> None:
    sent = send(app, HOT, "lane.retry", fail_times=2, countdown=1)
    assert (ended(sent), sent.result) == ("SUCCESS", 2)


def test_remote_control_reaches_every_worker(app, workers) -> None:
    replies = app.control.inspect(timeout=3).ping()
    assert {name.partition("@")[0] for name in replies} == {HOT, HOME}
    (reply,) = app.control.ping(
        destination=[name for name in replies if name.startswith(HOT)], timeout=3
    )
    assert list(reply.values()) == [{"ok": "pong"}]


@pytest.mark.parametrize("queue", [HOT, HOME])
def test_a_running_task_is_ended_wherever_it_runs(app, workers, queue) -> None:
    sent = send(app, queue, "lane.sleep", seconds=50)
    wait_for(lambda: sent.state == "STARTED", "its start")
    revoke(app, sent.id, terminate=True)
    assert ended(sent) == "REVOKED"


def test_a_delayed_task_is_called_off_at_once_and_its_record_is_at_home(app, workers, home) -> None:
    accepted = submit("notifications.send_email",
                      {"to": "a@example.org", "subject": "s", "body": "b"},
                      queue=HOME, app=app, countdown_s=50)  # fmt: skip
    assert read_status(app, accepted.task_id).queue == HOME
    late = Sent(app, app.send_task("lane.add", (1, 2), queue=HOT, countdown=50).id)
    for task_id in (late.id, accepted.task_id):
        revoke(app, task_id)
    assert (ended(late), ended(Sent(app, accepted.task_id))) == ("REVOKED", "REVOKED")


def test_the_worker_tells_of_its_own_broker(workers) -> None:
    wait_for(lambda: workers[HOT].metric("laneway_broker_up") == 1, "its answer")
    unfit = workers[HOT].lines("this Redis is not fit to hold work")
    assert "persistence" in json.dumps(unfit)
