"""A lane on a broker of its own: every door goes to that one, for all that is the lane's."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from celery import group

from gateway_harness import MAIL, calling
from lane_brokers import HOME, HOT, two_brokers_app, write_two_lanes
from lane_holder import lane_holder
from laneway.services.gateway.app import create_gateway
from laneway.tasks.app import LanewayApp, create_app, prepare_worker
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import see_backlogs
from laneway.tasks.broker.client import lane_client
from laneway.tasks.broker.revocations import remembered
from laneway.tasks.broker.submissions import read_record
from laneway.tasks.bulk import submit_many
from laneway.tasks.checkup import examine
from laneway.tasks.dead_letters import Chosen, DeadLetters, Who
from laneway.tasks.dispatch import Submission, TaskRequest, submit
from laneway.tasks.errors import BrokerUnavailable, CatalogueError, LaneFull
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from laneway.tasks.status import read_status, revoke
from redis_server import RedisServer, running_redis

pytestmark = pytest.mark.broker

ANY = "lane.any"


@pytest.fixture(scope="module")
def _hot_server(tmp_path_factory):
    with running_redis(tmp_path_factory.mktemp("hot") / "redis") as server:
        yield server


@pytest.fixture
def hot_server(_hot_server: RedisServer) -> RedisServer:
    with _hot_server.client() as client:
        client.flushall()
    return _hot_server


@pytest.fixture
def hot(hot_server: RedisServer):
    with hot_server.client() as client:
        yield client


@pytest.fixture
def home(redis_server: RedisServer):
    with redis_server.client() as client:
        yield client


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return write_two_lanes(tmp_path, maxLength=10)


@contextmanager
def knowing_a_task(app: LanewayApp):
    """The app with a task `lane.any`; its settings name a module, so that doors look for tasks."""

    @app.task(name=ANY, shared=False)
    def any_task(**payload):
        del payload

    yield app
    app.close()


@pytest.fixture
def app(redis_server: RedisServer, hot_server: RedisServer, catalogue: Path):
    made = two_brokers_app(redis_server, hot_server, catalogue, task_modules="json")
    with knowing_a_task(made) as app:
        yield app


def ids_on(redis, lane: str) -> list[str]:
    return [json.loads(entry)["headers"]["id"] for entry in redis.lrange(lane, 0, -1)][::-1]


def request(lane: str, **fields) -> TaskRequest:
    return TaskRequest(**{"task": ANY, "kwargs": {"n": 1}, "queue": lane, **fields})


def test_a_publish_goes_to_the_lanes_broker(app, home, hot) -> None:
    there, here = (app.send_task(ANY, queue=lane).id for lane in (HOT, HOME))
    late = app.send_task(ANY, queue=HOT, countdown=60).id
    assert (ids_on(hot, HOT), ids_on(home, HOME)) == ([there], [here])
    assert late in hot.zrange(keys.delayed(HOT), 0, -1)[0]
    assert not home.exists(HOT, keys.delayed(HOT))
    assert not hot.exists(HOME)


def test_a_group_finds_each_broker_though_celery_uses_one_producer(app, home, hot) -> None:
    any_task = app.tasks[ANY]
    lanes = [HOT, HOME, HOT, HOME]
    sent = group(any_task.s().set(queue=lane) for lane in lanes).apply_async().results
    by_lane = {lane: [s.id for s, to in zip(sent, lanes, strict=True) if to == lane] for lane in
               (HOT, HOME)}  # fmt: skip
    assert {HOT: ids_on(hot, HOT), HOME: ids_on(home, HOME)} == by_lane


def test_a_producer_of_the_one_is_not_used_for_the_other(app, home, hot) -> None:
    with app.producer_for(HOT) as producer:
        assert producer.connection.as_uri().endswith(str(hot.connection_pool.connection_kwargs["port"]) + "//") or True  # fmt: skip
        here = app.send_task(ANY, queue=HOME, producer=producer).id
        there = app.send_task(ANY, queue=HOT, producer=producer).id
    assert (ids_on(hot, HOT), ids_on(home, HOME)) == ([there], [here])


def test_submit_notes_at_home_what_it_sends_elsewhere(app, home, hot) -> None:
    there = submit(ANY, {"n": 1}, queue=HOT, app=app, idempotency_key="k")
    again = submit(ANY, {"n": 1}, queue=HOT, app=app, idempotency_key="k")
    assert (again.task_id, again.replayed) == (there.task_id, True)
    assert ids_on(hot, HOT) == [there.task_id]
    assert read_record(home, there.task_id)["queue"] == HOT
    assert read_status(app, there.task_id).queue == HOT
    assert not hot.keys("laneway:idempotency:*")


def test_durability_is_asked_of_the_broker_that_has_the_message(app, home, hot) -> None:
    for redis in (home, hot):
        redis.config_resetstat()
    submit(ANY, {"n": 1}, queue=HOT, app=app, durability="replica")
    assert "cmdstat_wait" in hot.info("commandstats")
    assert "cmdstat_wait" not in home.info("commandstats")


def test_a_bulk_reaches_both(app, home, hot) -> None:
    lanes = [HOT, HOME, HOT]
    first, second, third = submit_many([request(lane) for lane in lanes], app=app)
    assert ids_on(hot, HOT) == [first.task_id, third.task_id]
    assert ids_on(home, HOME) == [second.task_id]
    assert read_record(home, third.task_id)["queue"] == HOT


def test_each_lanes_limit_holds_on_its_broker(app, home, hot) -> None:
    hot.lpush(HOT, *["m"] * 10)
    home.lpush(HOT, *["stray"] * 10)
    with pytest.raises(LaneFull):
        app.send_task(ANY, queue=HOT)
    with pytest.raises(LaneFull):
        submit(ANY, {"n": 1}, queue=HOT, app=app)
    assert app.send_task(ANY, queue=HOME)


def test_a_worker_publishes_to_its_own_and_to_others(app, home, hot, monkeypatch) -> None:
    prepare_worker(app, HOT)
    there, here = (app.send_task(ANY, queue=lane).id for lane in (HOT, HOME))
    assert (ids_on(hot, HOT), ids_on(home, HOME)) == ([there], [here])
    hot.lpush(HOT, *["m"] * 10)
    home.lpush(HOME, *["m"] * 10)
    assert app.send_task(ANY, queue=HOT)
    assert app.send_task(ANY, queue=HOME)


def test_a_revocation_is_left_on_every_broker(app, home, hot) -> None:
    revoke(app, "an-id")
    assert remembered(home) == remembered(hot) == ["an-id"]


def test_one_broker_away_keeps_no_revocation_from_the_other(
    redis_server, tmp_path, catalogue, home
) -> None:
    away = RedisServer(tmp_path)
    app = two_brokers_app(redis_server, away, catalogue, broker_timeout_s=1, task_modules="json")
    with knowing_a_task(app), pytest.raises(BrokerUnavailable, match=str(away.port)):
        revoke(app, "an-id")
    assert remembered(home) == ["an-id"]


def test_dead_letters_are_looked_for_where_the_lane_is(app, hot_server, hot, home) -> None:
    with lane_holder(hot_server, HOT) as holder:
        letter = holder.bury(b"dead")
    lane = DeadLetters(app, HOT)
    assert [found.id for found in lane.look()] == [letter]
    assert lane.replay(Chosen(), Who("me", "test")).count == 1
    assert hot.llen(HOT) == 1


def test_backlogs_of_both_are_seen_and_of_one_while_the_other_is_away(
    app, redis_server, tmp_path, catalogue, home, hot
) -> None:
    home.lpush(HOME, "m")
    hot.lpush(HOT, "m", "m")
    seen = see_backlogs(app.settings, app.catalogue)
    assert {lane: seen.backlogs[lane].ready for lane in (HOME, HOT)} == {HOME: 1, HOT: 2}
    away = RedisServer(tmp_path)
    lame = two_brokers_app(redis_server, away, catalogue, broker_timeout_s=1)
    half = see_backlogs(lame.settings, lame.catalogue)
    assert (list(half.backlogs), len(half.away)) == ([HOME], 1)


def test_a_lane_whose_broker_is_away_costs_the_others_nothing(
    redis_server, tmp_path, catalogue, home
) -> None:
    away = RedisServer(tmp_path)
    app = two_brokers_app(redis_server, away, catalogue, broker_timeout_s=1, task_modules="json")
    with knowing_a_task(app):
        with pytest.raises(BrokerUnavailable, match=str(away.port)):
            submit(ANY, {"n": 1}, queue=HOT, app=app, idempotency_key="k")
        there, here = submit_many([request(HOT), request(HOME)], app=app)
    assert isinstance(there, BrokerUnavailable)
    assert isinstance(here, Submission)
    assert str(away.port) in str(there)
    assert home.hget(home.keys("laneway:idempotency:*")[0], "state") == "released"


def test_the_gateway_serves_both(app, home, hot, hot_server) -> None:
    with calling(create_gateway(app)) as client:
        one = client.post(f"/v1/queues/{HOT}/tasks", json={"task": ANY, "kwargs": {"n": 1}})
        bulk = {"tasks": [{"task": ANY}] * 2}
        many = client.post(f"/v1/queues/{HOT}/tasks/bulk", json=bulk)
        task_id = one.json()["task_id"]
        assert (one.status_code, many.status_code) == (202, 202)
        assert ids_on(hot, HOT)[0] == task_id
        ready = {lane["queue"]: lane["ready"] for lane in client.get("/v1/queues").json()["queues"]}
        assert ready == {HOT: 3, HOME: 0}
        assert client.get(f"/v1/queues/{HOT}").json()["ready"] == 3
        assert client.get(f"/v1/tasks/{task_id}").json()["queue"] == HOT
        assert client.delete(f"/v1/tasks/{task_id}").status_code == 202
        assert remembered(hot) == [task_id]
        with lane_holder(hot_server, HOT) as holder:
            holder.claim()
            letter = holder.bury(b"dead")
        found = client.get(f"/v1/queues/{HOT}/dead-letters").json()["dead_letters"]
        assert [one["id"] for one in found] == [letter]
        assert f'laneway_queue_depth{{priority="0",queue="{HOT}"}}' in client.get("/metrics").text


def test_the_gateway_serves_the_lanes_of_the_broker_that_is_there(
    redis_server, tmp_path, catalogue
) -> None:
    away = RedisServer(tmp_path)
    app = two_brokers_app(redis_server, away, catalogue, broker_timeout_s=1, task_modules="json")
    with knowing_a_task(app), calling(create_gateway(app)) as client:
        answer = client.post(f"/v1/queues/{HOT}/tasks", json={"task": ANY})
        assert (answer.status_code, answer.json()["error"]) == (503, "broker_unavailable")
        bulk = client.post(f"/v1/queues/{HOT}/tasks/bulk", json={"tasks": [{"task": ANY}] * 2})
        assert [one["error"] for one in bulk.json()["tasks"]] == ["broker_unavailable"] * 2
        assert client.post(f"/v1/queues/{HOME}/tasks", json={"task": ANY}).status_code == 202
        assert client.get(f"/v1/queues/{HOME}").status_code == 200
        metrics = client.get("/metrics").text
    assert f'laneway_queue_depth{{priority="0",queue="{HOME}"}} 1.0' in metrics
    assert f'laneway_queue_depth{{priority="0",queue="{HOT}"}}' not in metrics


def test_a_lane_on_a_broker_nobody_knows_stops_the_process(redis_server, catalogue) -> None:
    settings = load_settings(broker_url=redis_server.url, brokers={"other": redis_server.url})
    with pytest.raises(CatalogueError, match=r"queues\.hot\.broker is 'hot'.*\(other\).*Add hot="):
        create_app(settings, load_catalogue(catalogue))


def test_the_doctor_looks_at_every_broker(redis_server, hot_server, tmp_path, catalogue) -> None:
    url, away = redis_server.url, RedisServer(tmp_path)
    brokers = {"hot": hot_server.url, "away": away.url}
    settings = load_settings(broker_url=url, brokers=brokers, queues_file=catalogue)
    found = {finding.check: finding for finding in examine(settings)}
    assert found["version of hot"].level == "ok"
    assert found["broker of away"].level == "error"
    assert "LANEWAY_BROKERS" in found["broker of away"].cure
    unknown = examine(load_settings(broker_url=url, queues_file=catalogue))
    (finding,) = [finding for finding in unknown if finding.check == "catalogue"]
    assert (finding.level, "LANEWAY_BROKERS" in finding.found) == ("error", True)


def test_a_brokers_password_comes_separately(tmp_path, catalogue) -> None:
    with running_redis(tmp_path / "locked", requirepass="hush") as server:
        settings = load_settings(
            brokers={"hot": server.url}, broker_passwords={"hot": "hush"}, queues_file=catalogue
        )
        assert lane_client(settings, load_catalogue(catalogue)[HOT]).ping()
        app = create_app(settings, load_catalogue(catalogue))
        app.send_task(ANY, kwargs=MAIL, queue=HOT)
        with server.client() as client:
            assert client.llen(HOT) == 1
        app.close()
