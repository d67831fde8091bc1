"""A password of Redis that lies in a file is changed: whoever connects anew knows the new one."""

import asyncio
import gc
import json
import threading
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import httpx2
import pytest
from kombu.exceptions import OperationalError
from redis.exceptions import AuthenticationError, RedisError
from typer.testing import CliRunner

from broker.sentinel_harness import sentinel_group
from gateway_harness import MAIL, calling, make_api, serving
from lane_brokers import HOME, HOT, write_two_lanes
from laneway.services.cli.main import app as cli
from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.broker.client import (
    _broker_client,
    broker_client,
    link_client,
    probe_client,
    result_client,
    result_client_async,
)
from laneway.tasks.broker.transport import new_connection
from laneway.tasks.checkup import examine
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import BrokerUnavailable
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import current_settings, load_settings
from lesson_harness import forget_results
from secret_folder import LockedRedis, locked_redis, mounted
from worker_harness import wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(120),
    # A connection that breaks while kombu makes its channel is left to the garbage collector, and so
    # are those to Sentinels, and those that threads of the gateway had.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LANE = "notifications"
TASK = "notifications.send_email"
SEND = {"task": TASK, "kwargs": MAIL}
USER = "laneway"
REFUSED = (RedisError, OperationalError, BrokerUnavailable, AssertionError)
"""How each kind of client tells it; the doctor by a finding."""


def opened(url: str, **settings: Any) -> LanewayApp:
    given = {"result_url": url.removesuffix("/0") + "/1", **settings}
    loaded = load_settings(broker_url=url, broker_timeout_s=2, **given)
    return create_app(loaded, load_catalogue(loaded.queues_file))


@pytest.fixture
def app(locked, secret) -> Iterator[LanewayApp]:
    made = opened(locked.url)
    yield made
    close(made)


def close(app: LanewayApp) -> None:
    forget_results(app)
    app.close()
    for cached in (_broker_client, result_client, link_of, probe_of):
        cached.cache_clear()
    gc.collect()  # here, where what kombu left behind is known of


def by_link(app: LanewayApp) -> None:
    """As a worker's link does, which keeps the pool that it takes connections from."""
    connection = new_connection(link_of(app).connection_pool)
    connection.send_command("PING")
    assert connection.read_response() == b"PONG"
    connection.disconnect()


def by_producer(app: LanewayApp) -> None:
    app.send_task(TASK, kwargs=MAIL, queue=LANE)


def by_backend(app: LanewayApp) -> None:
    app.backend.store_result("an-id", {"n": 1}, "SUCCESS")
    assert app.backend.get_state("an-id") == "SUCCESS"


def by_event_loop(app: LanewayApp) -> None:
    async def ping() -> None:
        client = result_client_async(app.settings)
        assert await client.ping()
        await client.aclose()

    asyncio.run(ping())


def by_doctor(app: LanewayApp) -> None:
    found = examine(app.settings)
    assert [each for each in found if each.level == "error"] == []


link_of = lru_cache(maxsize=1)(lambda app: link_client(app.settings))
probe_of = lru_cache(maxsize=1)(lambda app: probe_client(app.settings, 1.0))

KINDS: dict[str, Callable[[LanewayApp], Any]] = {
    "client": lambda app: broker_client(app.settings).ping(),
    "results": lambda app: result_client(app.settings).ping(),
    "link": by_link,
    "readiness": lambda app: probe_of(app).ping(),
    "event loop": by_event_loop,
    "producer": by_producer,
    "submit": lambda app: submit(TASK, MAIL, app=app),
    "broadcast": lambda app: app.control.broadcast("nothing"),
    "result backend": by_backend,
    "doctor": by_doctor,
}


@pytest.mark.parametrize("use", KINDS.values(), ids=KINDS)
def test_every_kind_of_client_knows_the_new_password(app, locked, secret, use) -> None:
    use(app)
    locked.add("two")
    secret.write(broker_password="two")
    use(app)
    locked.change("two")
    use(app)


TELLING = {name: use for name, use in KINDS.items() if name != "broadcast"}
"""All that say at once that they are refused; kombu tries on with a broadcast."""


@pytest.mark.parametrize("use", TELLING.values(), ids=TELLING)
def test_a_wrong_password_fails_until_it_is_corrected(app, locked, secret, use) -> None:
    use(app)
    secret.write(broker_password="wrong")
    locked.change("two")
    with pytest.raises(REFUSED):
        use(app)
    secret.write(broker_password="two")
    use(app)


def test_a_broadcast_is_told_once_the_password_is_corrected(app, locked, secret) -> None:
    app.control.broadcast("nothing")
    secret.write(broker_password="wrong")
    locked.change("two")
    thread = threading.Thread(target=app.control.broadcast, args=("nothing",))
    thread.start()
    wait_for(locked.failed_logins, "a try with the wrong one")
    secret.write(broker_password="two")
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("use", KINDS.values(), ids=KINDS)
def test_a_file_that_is_gone_for_a_moment_stops_nobody(app, locked, secret, use) -> None:
    use(app)
    secret.forget("broker_password")
    locked.cut()
    use(app)
    secret.write_plainly(broker_password="two")
    locked.change("two")
    use(app)


def test_kombus_own_transport_knows_it_too(locked, secret) -> None:
    app = opened(locked.url, transport="kombu")
    try:
        by_producer(app)
        secret.write(broker_password="two")
        locked.change("two")
        by_producer(app)
        app.control.broadcast("nothing")
    finally:
        close(app)


def test_a_user_of_its_own_keeps_its_name(locked, secret) -> None:
    with locked.server.client() as admin:
        rights = ("~*", "&*", "+@all", "-config")  # which the doctor is not to ask for
        admin.execute_command("ACL", "SETUSER", USER, "on", ">u1", *rights)
    user = LockedRedis(locked.server, "u1", USER)
    secret.write(broker_password="u1")
    app = opened(locked.url, broker_username=USER)
    try:
        for use in KINDS.values():
            use(app)
        secret.write(broker_password="u2")
        user.change("u2")
        for use in KINDS.values():
            use(app)
        with locked.server.client() as admin:
            assert {one["user"] for one in admin.client_list()} == {USER, "admin"}
    finally:
        close(app)


def test_a_password_that_is_in_no_file_stays_as_it_was(locked) -> None:
    app = opened(locked.url, broker_password="one")
    try:
        by_producer(app)
        locked.change("two")
        with pytest.raises(REFUSED):
            by_producer(app)
        with pytest.raises(AuthenticationError):
            broker_client(app.settings).ping()
    finally:
        close(app)


def test_brokers_by_name_and_results_have_passwords_of_their_own(monkeypatch, tmp_path) -> None:
    words = {"broker_password": "home1", "broker_password_hot": "hot1", "result_password": "res1"}
    secret = mounted(monkeypatch, tmp_path / "secret", **words)
    with (
        locked_redis(tmp_path / "home", "home1") as home,
        locked_redis(tmp_path / "hot", "hot1") as hot,
        locked_redis(tmp_path / "results", "res1") as results,
    ):
        lanes = write_two_lanes(tmp_path)
        given = {"brokers": {"hot": hot.url}, "result_url": results.url, "queues_file": lanes}
        app = opened(home.url, **given)
        try:
            use_all_servers(app)
            secret.write(broker_password_hot="hot2")
            hot.change("hot2")
            use_all_servers(app)
            secret.write(broker_password="home2", result_password="res2")
            home.change("home2")
            results.change("res2")
            use_all_servers(app)
        finally:
            close(app)


def use_all_servers(app: LanewayApp) -> None:
    for lane in (HOT, HOME):
        app.send_task("lane.any", queue=lane)
    app.control.broadcast("nothing")
    broker_client(app.settings, "hot").ping()
    link = new_connection(link_client(app.settings, "hot").connection_pool)
    link.disconnect()
    by_backend(app)
    by_doctor(app)


@pytest.mark.parametrize("transport", ["laneway", "kombu"])
def test_a_primary_that_sentinels_name(monkeypatch, tmp_path, transport) -> None:
    secret = mounted(monkeypatch, tmp_path / "secret", broker_password="one")
    with sentinel_group(tmp_path, sentinels=1) as group:
        user = LockedRedis(group.primary, "one", USER)
        with group.primary.client() as admin:
            admin.execute_command("ACL", "SETUSER", USER, "on", ">one", "~*", "&*", "+@all")
        app = opened(group.url, broker_username=USER, result_url=group.url, transport=transport)
        try:
            for use in KINDS.values():
                use(app)
            user.add("two")
            secret.write(broker_password="two")
            user.remove("one")
            with group.primary.client() as admin:
                admin.execute_command("CLIENT", "KILL", "USER", USER)
            for use in KINDS.values():
                use(app)
        finally:
            close(app)


def test_the_gateway_serves_on(locked, secret) -> None:
    api = make_api(locked.url, broker_timeout_s=2)
    with calling(api) as client:
        assert calls(client) == {200, 202}
        secret.write(broker_password="two")
        locked.change("two")
        assert calls(client) == {200, 202}
        secret.write(broker_password="wrong")
        locked.change("three")
        assert client.post("/v1/tasks", json=SEND).status_code == 503
        wait_for(lambda: client.get("/readyz").status_code == 503, "it to be unready")
        secret.write(broker_password="three")
        wait_for(lambda: client.get("/readyz").status_code == 200, "it to be ready")
        assert calls(client) == {200, 202}
    close(api.state.gateway.app)


def calls(client: Any) -> set[int]:
    sent = client.post("/v1/tasks", json=SEND)
    found = [sent, client.get("/v1/queues"), client.get("/readyz")]
    if sent.status_code == 202:
        found.append(client.get(f"/v1/tasks/{sent.json()['task_id']}"))
    return {answer.status_code for answer in found}


def test_an_open_stream_of_events_hears_what_comes_after_the_change(locked, secret) -> None:
    api = make_api(locked.url, broker_timeout_s=2)
    with serving(api) as url:
        task_id = httpx2.post(f"{url}/v1/tasks", json=SEND).json()["task_id"]
        states: list[str] = []
        thread = threading.Thread(target=follow, args=(f"{url}/v1/tasks/{task_id}", states.append))
        thread.start()
        wait_for(lambda: states and locked.listeners(), "the stream to listen")
        secret.write(broker_password="two")
        locked.change("two")
        wait_for(locked.listeners, "the stream to listen again")
        api.state.gateway.app.backend.store_result(task_id, None, "SUCCESS")
        thread.join(30)
    close(api.state.gateway.app)
    assert states == ["PENDING", "SUCCESS"]


def follow(task: str, tell: Callable[[str], None]) -> None:
    with httpx2.stream("GET", f"{task}/events", timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                tell(json.loads(line[6:])["state"])


def test_the_command_line_reads_it_when_it_starts(locked, secret, monkeypatch) -> None:
    monkeypatch.setenv("LANEWAY_BROKER_URL", locked.url)
    for password in ("one", "two"):
        secret.write(broker_password=password)
        if password != locked.password:
            locked.change(password)
        current_settings.cache_clear()
        shown = CliRunner().invoke(cli, ["queues"])
        assert (shown.exit_code, LANE in shown.stdout) == (0, True), shown.output
    current_settings.cache_clear()
