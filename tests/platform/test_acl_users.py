"""Every part works as the Redis user that `laneway acl` makes for it, and is refused nothing.

The default user is off. After each test Redis's log of refusals is empty.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from celery import Celery, chain, chord, group
from celery.result import GroupResult

from acl_harness import KEDA, GuardedRedis, close, ended, guarded_redis, scope_of, sig
from gateway_harness import calling, make_api, serving
from lane_client import Hold, write_catalogue
from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.client import broker_client, result_client
from laneway.tasks.broker.commands import tend_keys
from laneway.tasks.broker.dead_letters import EVERY
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.broker.locks import LockHeld, exclusive
from laneway.tasks.broker.scripting import run
from laneway.tasks.broker.survey import survey
from laneway.tasks.dead_letters import Chosen, DeadLetters, Who
from laneway.tasks.dispatch import submit
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from laneway.tasks.status import read_status, revoke
from worker_harness import TASKS_FOLDER, running_worker, wait_for

pytestmark = [
    pytest.mark.platform,
    # Celery's own result backend still calls it.
    pytest.mark.filterwarnings("ignore:Call to deprecated setex:DeprecationWarning"),
]

LANES = {
    "mail": {"concurrency": 2, "leaseSeconds": 5, "tasks": ["lane.*", "fate.*", "user.*"]},
    "side": {"pool": "threads", "timeLimit": 600},
    "idle": {},
}
MODULES = "lane_tasks,fate_tasks,user_tasks"
FAR_S = 3_000
GET_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("acl")


@pytest.fixture(scope="module", autouse=True)
def _task_modules() -> None:
    if str(TASKS_FOLDER) not in sys.path:
        sys.path.append(str(TASKS_FOLDER))


@pytest.fixture(scope="module")
def catalogue(folder: Path) -> Path:
    return write_catalogue(folder, **LANES)


@pytest.fixture(scope="module")
def server(folder: Path, catalogue: Path) -> Iterator[GuardedRedis]:
    scope = scope_of(catalogue, onward=("mail", "side"))
    with guarded_redis(folder / "redis", scope) as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_is_refused(server: GuardedRedis) -> Iterator[None]:
    with server.client() as client:
        client.acl_log_reset()
    yield
    assert server.denials() == []


def worker_settings(server: GuardedRedis, lane: str, catalogue: Path) -> dict[str, str]:
    given = {"queues_file": str(catalogue), "task_modules": MODULES}
    return {**server.settings_of(f"worker-{lane}"), **given}


@pytest.fixture(scope="module")
def workers(server: GuardedRedis, catalogue: Path, folder: Path):
    with ExitStack() as stack:
        yield {
            lane: stack.enter_context(
                running_worker(lane, folder, **worker_settings(server, lane, catalogue))
            )
            for lane in ("mail", "side")
        }


@pytest.fixture
def app_of(server: GuardedRedis, catalogue: Path):
    """Makes Laneway's app of a user."""
    made = []

    def make(user: str) -> LanewayApp:
        settings = load_settings(
            **server.settings_of(user), queues_file=catalogue, task_modules=MODULES
        )
        made.append(create_app(settings, load_catalogue(catalogue)))
        return made[-1]

    yield make
    for app in made:
        close(app)
        broker_client(app.settings).close()
        result_client(app.settings).close()


@pytest.fixture
def stock(server: GuardedRedis):
    """Celery's own app, as the producer."""
    url = server.url_of("producer")
    app = Celery(broker=url, backend=url.removesuffix("/0") + "/1", set_as_current=False)
    app.conf.task_create_missing_queues = True
    yield app
    close(app)


ENDS = {
    "lane.add": "SUCCESS",
    "lane.report": "SUCCESS",
    "lane.retry": "SUCCESS",
    "lane.fail": "FAILURE",
    "lane.hard_limit": "FAILURE",
    "lane.soft_limit": "FAILURE",
    "lane.exhaust": "FAILURE",
    "no.such_task": "FAILURE",
}

KWARGS = {"lane.add": {"x": 1, "y": 2}}


def test_a_stock_producer_gets_every_end(workers, stock) -> None:
    sent = {task: stock.send_task(task, (), KWARGS.get(task), queue="mail").id for task in ENDS}
    low = stock.send_task("lane.add", [1, 2], queue="mail", priority=9).id
    later = stock.send_task("lane.add", [1, 2], queue="mail", countdown=1).id
    late = stock.send_task("lane.add", [1, 2], queue="mail", countdown=1, expires=0.5).id
    turns = [
        stock.send_task("lane.limited", kwargs={"mark": None}, queue="mail").id for _ in range(3)
    ]
    states = ended(stock, *sent.values(), low, later, late, *turns)
    assert {task: states[task_id] for task, task_id in sent.items()} == ENDS
    assert (states[low], states[later], states[late]) == ("SUCCESS", "SUCCESS", "REVOKED")
    assert {states[turn] for turn in turns} == {"SUCCESS"}


def test_a_stock_producer_waits_for_results_and_forgets_them(workers, stock) -> None:
    result = stock.send_task("lane.add", [1, 2], queue="side")
    assert result.get(timeout=GET_S) == 3
    result.forget()
    assert stock.AsyncResult(result.id).state == "PENDING"


@pytest.mark.parametrize("user", ["producer", "submitter"])
def test_canvas_works_within_a_lane_and_across_lanes(workers, stock, app_of, user: str) -> None:
    app = stock if user == "producer" else app_of(user)
    here, there = {"queue": "mail"}, {"queue": "side"}
    steps = chain(sig(app, "user.add", 1, 2, **here), sig(app, "user.double", **there))
    assert steps.apply_async().get(timeout=GET_S) == 6
    members = group(sig(app, "user.double", n, **lane) for n, lane in enumerate([here, there]))
    result = members.apply_async()
    result.save()
    assert GroupResult.restore(result.id, app=app).get(timeout=GET_S) == [0, 2]
    assert chord(members)(sig(app, "user.total", **there)).get(timeout=GET_S) == 2
    nested = group(members, sig(app, "user.add", 1, 1, **here))
    assert chord(nested)(sig(app, "user.total", **here)).get(timeout=GET_S) == 4
    failing = [sig(app, "user.add", 1, 1, **here), sig(app, "user.fail", **there)]
    failed = chord(failing)(sig(app, "user.total", **here))
    assert ended(app, failed.id) == {failed.id: "FAILURE"}


@pytest.mark.parametrize("lane", ["mail", "side"])
def test_tasks_publish_and_replace_themselves(workers, stock, lane: str) -> None:
    for task, value in [
        ("user.replace_with_add", 3),
        ("user.replace_with_group", [2, 4]),
        ("user.replace_with_chord", 6),
    ]:
        args = [1, 2] if task.endswith("add") else [[1, 2]]
        assert sig(stock, task, *args, queue=lane).apply_async().get(timeout=GET_S) == value
    for way in ("delay", "submit"):
        found = sig(stock, "lane.publish", way, queue=lane).apply_async().get(timeout=GET_S)
        assert stock.AsyncResult(found).get(timeout=GET_S) == 3


def test_a_submitter_submits_asks_and_waits_for_durability(workers, app_of) -> None:
    app = app_of("submitter")
    first = submit(
        "lane.add",
        {"x": 1, "y": 2},
        queue="mail",
        app=app,
        idempotency_key="k",
        durability="replica",
    )
    again = submit("lane.add", {"x": 1, "y": 2}, queue="mail", app=app, idempotency_key="k")
    assert (again.task_id, again.replayed) == (first.task_id, True)
    later = submit("lane.add", {"x": 1, "y": 2}, queue="mail", app=app, countdown_s=1)
    submit("lane.add", {"x": 1, "y": 2}, queue="side", app=app, durability="fsync")
    assert set(ended(app, first.task_id, later.task_id).values()) == {"SUCCESS"}
    assert read_status(app, first.task_id).result == 3


@pytest.fixture
def api(server: GuardedRedis, catalogue: Path):
    settings = server.settings_of("gateway")
    return make_api(
        settings.pop("broker_url"), queues_file=catalogue, task_modules=MODULES, **settings
    )


ADD = {"task": "lane.add", "kwargs": {"x": 1, "y": 2}}


def test_the_gateway_takes_tasks_and_tells_of_them(workers, api) -> None:
    with calling(api) as client:
        assert client.get("/readyz").status_code == 200
        order = {**ADD, "durability": "fsync"}
        key = {"Idempotency-Key": "order-1"}
        task_id = client.post("/v1/queues/mail/tasks", json=order, headers=key).json()["task_id"]
        again = client.post("/v1/queues/mail/tasks", json=order, headers=key).json()
        assert again["task_id"] == task_id
        bulk = client.post("/v1/queues/mail/tasks/bulk", json={"tasks": [ADD, ADD]})
        assert bulk.status_code == 202
        path = f"/v1/tasks/{task_id}"
        wait_for(lambda: client.get(path).json()["final"], "its end")
        assert {lane["queue"] for lane in client.get("/v1/queues").json()["queues"]} == set(LANES)
        assert client.get("/metrics").status_code == 200


def test_the_gateway_follows_and_revokes(workers, api, tmp_path: Path) -> None:
    hold = Hold(tmp_path)
    delayed = {**ADD, "countdown": FAR_S}
    with serving(api) as url:
        order = {"task": "fate.hold", "kwargs": hold.kwargs}
        running, waiting = (
            httpx2.post(f"{url}/v1/queues/mail/tasks", json=task)
            .raise_for_status()
            .json()["task_id"]
            for task in (order, delayed)
        )
        released = threading.Timer(1, hold.release)
        released.start()
        with httpx2.stream("GET", f"{url}/v1/tasks/{running}/events", timeout=GET_S) as events:
            states = [
                json.loads(line[6:])["state"] for line in events.iter_lines() if "data: " in line
            ]
        assert states[-1] == "SUCCESS"
        httpx2.delete(f"{url}/v1/tasks/{waiting}?terminate=true").raise_for_status()
        state = lambda: httpx2.get(f"{url}/v1/tasks/{waiting}").json()["state"]  # noqa: E731
        wait_for(lambda: state() == "REVOKED", "the revocation")


def test_the_gateway_handles_dead_letters(workers, api, stock) -> None:
    sent = [stock.send_task("no.such_task", queue="mail").id for _ in range(3)]
    ended(stock, *sent)
    path = "/v1/queues/mail/dead-letters"
    with calling(api) as client:
        letters = wait_for(lambda: client.get(path).json()["dead_letters"], "dead letters")
        one = letters[0]["id"]
        assert client.get(f"{path}/{one}").json()["task"] == "no.such_task"
        assert one in client.get(f"{path}/export", params={"why": "look"}).text
        why = {"why": "test"}
        moved = client.post(f"{path}/replay", json={**why, "ids": [one]})
        assert moved.json()["count"] == 1
        paced = client.post(f"{path}/replay", json={**why, "all": True, "rate_per_s": 10})
        assert paced.status_code == 200
        wait_for(lambda: len(client.get(path).json()["dead_letters"]) >= len(sent), "them again")
        assert client.post(f"{path}/discard", json={**why, "all": True}).json()["count"] >= 1
        assert client.get(f"{path}/log").json()["actions"]


def test_a_killed_worker_is_recovered_and_a_stopped_one_drains(
    server, catalogue, workers, stock, folder: Path, tmp_path: Path
) -> None:
    """Its own worker is the one that is stopped; the lane has another."""
    places = [tmp_path / "killed", tmp_path / "stopped"]
    for place in places:
        place.mkdir()
    holds = list(map(Hold, places))
    settings = worker_settings(server, "mail", catalogue)
    with running_worker("mail", folder, **settings) as doomed:
        sent = [stock.send_task("fate.hold", kwargs=holds[0].kwargs, queue="mail") for _ in "1234"]
        wait_for(lambda: holds[0].begun() == len(sent), "four beginnings")
        doomed.kill()
        holds[0].release()
        assert set(ended(stock, *(result.id for result in sent)).values()) == {"SUCCESS"}
    recovered = "laneway_messages_recovered_total"
    assert workers["mail"].metric(recovered) + workers["mail"].log().count("given back") > 0
    with running_worker("mail", folder, **settings) as stopped:
        sent = [stock.send_task("fate.hold", kwargs=holds[1].kwargs, queue="mail") for _ in "1234"]
        wait_for(lambda: holds[1].begun() == len(sent), "four beginnings")
        stopped.terminate()
        holds[1].release()
        assert stopped.wait_until_ended() == 0
    assert set(ended(stock, *(result.id for result in sent)).values()) == {"SUCCESS"}


def test_remote_control_asks_and_orders(workers, app_of) -> None:
    app = app_of("ops")
    asked = app.control.inspect(timeout=2)
    names = wait_for(asked.ping, "an answer")
    assert {name.partition("@")[0] for name in names} == {"mail", "side"}
    assert asked.stats()
    answers = app.control.rate_limit("lane.sleep", "100/s", reply=True, timeout=2)
    assert answers


def test_people_revoke_and_handle_dead_letters(workers, app_of, stock, tmp_path: Path) -> None:
    app = app_of("ops")
    hold = Hold(tmp_path)
    running = stock.send_task("fate.hold", kwargs=hold.kwargs, queue="mail")
    waiting = stock.send_task("lane.add", [1, 2], queue="mail", countdown=FAR_S)
    wait_for(hold.begun, "its beginning")
    for result in (running, waiting):
        revoke(app, result.id, terminate=True)
    states = ended(stock, running.id, waiting.id)
    assert set(states.values()) == {"REVOKED"}

    ended(stock, *(stock.send_task("no.such_task", queue="side").id for _ in range(2)))
    lane, who = DeadLetters(app, "side"), Who("ann", "cli", "test")
    (one, other) = wait_for(lambda: len(list(lane.look())) == 2 and list(lane.look()), "both")
    assert lane.show(one.id) is not None
    assert lane.show(one.id, most_bytes=10).message is None
    assert lane.replay(Chosen(ids=(one.id,)), who).count == 1
    assert lane.discard(Chosen(ids=(other.id,)), who).count == 1
    wait_for(lambda: list(lane.export(EVERY, who)), "the replayed one's second death")
    assert {action.verb for action in lane.log()} == {"replay", "discard", "export"}


def test_the_scaler_tends_a_lane_without_workers(server, app_of, stock) -> None:
    client = broker_client(app_of("scaler").settings)
    stock.send_task("lane.add", [1, 2], queue="idle")
    with server.client() as admin:
        admin.zadd(keys.delayed("idle"), {"1 0 1 tag - 0\n{}": 1})
        admin.zadd(keys.leases("idle"), {"dead": 1})
        admin.hset(keys.claims("idle"), "dead/1", '1 1 1 tag - 0\n{"a": 1}')
        admin.hset(keys.epochs("idle"), "dead", 1)
    names = tend_keys("idle", keys.ready_lists("idle"))
    _, due, recovered, *_ = run(client, "tend", names, ["", 0, 0, 100])
    assert (due, recovered) == (1, 1)
    assert read_backlogs(client, LANES)["idle"].ready == 3
    found = survey(client, LANES)
    assert found.lanes["idle"].oldest_age_s is None  # a stock producer's, which tells no time


def test_an_observer_counts(server, app_of) -> None:
    client = broker_client(app_of("observer").settings)
    assert set(read_backlogs(client, LANES)) == set(LANES)
    assert inspect_broker(client)


def test_keda_counts_in_its_script(server) -> None:
    with server.client_of("keda") as client:
        for name in ("mail", keys.claims("mail"), keys.delayed("mail"), "side"):
            assert client.eval(KEDA, 1, name) >= 0


def test_the_lock_of_a_document_is_taken_renewed_and_released(server) -> None:
    settings = load_settings(**server.settings_of("worker-side"))
    with exclusive(settings, "documents.process:a", lease_s=0.3):
        threading.Event().wait(0.3)
        with pytest.raises(LockHeld), exclusive(settings, "documents.process:a", lease_s=0.3):
            pass
    with exclusive(settings, "documents.process:a", lease_s=5):
        pass
    broker_client(settings).close()


def test_a_worker_on_kombus_transport_is_refused_nothing(catalogue, folder: Path) -> None:
    scope = scope_of(catalogue, kombu=True)
    with guarded_redis(folder / "kombu", scope) as other:
        settings = {**worker_settings(other, "mail", catalogue), "transport": "kombu"}
        with running_worker("mail", folder, **settings) as worker:
            url = other.url_of("producer")
            app = Celery(broker=url, backend=f"{url[:-1]}1", set_as_current=False)
            ends = {task: end for task, end in ENDS.items() if task != "no.such_task"}
            sent = {task: app.send_task(task, (), KWARGS.get(task), queue="mail") for task in ends}
            states = ended(app, *(result.id for result in sent.values()))
            assert {task: states[result.id] for task, result in sent.items()} == ends
            close(app)
            assert worker.stop() == 0
        assert other.denials() == []
