"""The doors in: what submit() refuses and why, and where a task goes that names no queue."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from laneway.tasks.app import LanewayApp, route
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import (
    BrokerFull,
    BrokerUnavailable,
    IdempotencyConflict,
    InvalidPayload,
    LaneFull,
    TaskNotAdmitted,
    UnknownQueue,
    UnknownTask,
)
from laneway.tasks.queues import load_catalogue
from lesson_harness import client_of, delayed, ready, write_catalogue
from redis_server import RedisServer

pytestmark = pytest.mark.platform

MAIL = {"to": "ann@example.org", "subject": "Hello", "body": "Hello, Ann"}
MAIL_TASK = "notifications.send_email"
DOCUMENT = {"file_path": "/a.md", "user_id": "ann"}
NAME_ONE = "high-priority, documents, notifications"


@pytest.fixture
def app(redis_server: RedisServer) -> Iterator[LanewayApp]:
    with client_of(redis_server) as client:
        yield client


def lengths(server: RedisServer) -> dict[str, int]:
    with server.client() as client:
        return {lane: client.llen(lane) for lane in load_catalogue()}


@pytest.mark.parametrize(
    ("task", "payload", "lane"),
    [
        (MAIL_TASK, MAIL, "notifications"),
        ("documents.process", DOCUMENT, "documents"),
        ("documents.process", {**DOCUMENT, "priority": "low"}, "documents"),
        ("documents.process", {**DOCUMENT, "priority": "high"}, "high-priority"),
        ("documents.embed", {"texts": ["a"]}, "documents"),
        ("rag.index_collection", {"collection": "default"}, "documents"),
    ],
)
def test_a_built_in_task_goes_home(
    app, redis_server, task: str, payload: dict[str, Any], lane: str
) -> None:
    sent = submit(task, payload, app=app)
    assert (sent.task, sent.queue, sent.replayed) == (task, lane, False)
    (message,) = ready(redis_server, lane)
    assert message["headers"]["id"] == sent.task_id
    assert message["headers"]["task"] == task
    assert sum(lengths(redis_server).values()) == 1


def test_a_named_queue_wins_over_the_payloads_priority(app, redis_server) -> None:
    urgent = {**DOCUMENT, "priority": "high"}
    assert submit("documents.process", urgent, queue="documents", app=app).queue == "documents"
    assert submit(MAIL_TASK, MAIL, queue="high-priority", app=app).queue == "high-priority"


def test_a_task_of_a_team_goes_to_the_first_queue_that_claims_it(tmp_path: Path) -> None:
    lanes = "reports: {tasks: ['lesson.*']}\nlater: {tasks: ['lesson.see', 'lane.add']}"
    catalogue = load_catalogue(Path(write_catalogue(tmp_path / "queues.yaml", lanes)))
    assert route(catalogue, "lesson.see") == "reports"
    assert route(catalogue, "lane.add") == "later"
    assert route(catalogue, "celery.chord_unlock") in catalogue
    with pytest.raises(UnknownQueue, match=f"Name one of {NAME_ONE}, reports, later, or add"):
        route(catalogue, "nobody.claims")


def test_a_catalogue_without_a_tasks_home_routes_by_what_its_queues_claim(tmp_path: Path) -> None:
    file = tmp_path / "queues.yaml"
    file.write_text("queues: {mails: {tasks: ['notifications.*']}}")
    catalogue = load_catalogue(file)
    assert route(catalogue, MAIL_TASK, MAIL) == "mails"
    with pytest.raises(UnknownQueue):
        route(catalogue, "documents.process", DOCUMENT)


def test_celerys_own_door_refuses_an_unknown_queue_and_lists_the_known(app, redis_server) -> None:
    with pytest.raises(UnknownQueue, match=rf"no queue 'nope'\. Known queues: {NAME_ONE}\."):
        app.send_task("lane.add", args=[1, 2], queue="nope")
    with pytest.raises(UnknownQueue, match="Known queues"):
        app.tasks["lane.add"].apply_async((1, 2), queue="nope")
    with pytest.raises(UnknownQueue, match=f"Name one of {NAME_ONE}"):
        app.tasks["lane.add"].delay(1, 2)
    assert sum(lengths(redis_server).values()) == 0


def test_delay_of_a_task_with_a_contract_refuses_what_breaks_it(app, redis_server) -> None:
    import laneway.tasks.notifications.tasks  # noqa: F401 - defines the task

    with pytest.raises(InvalidPayload, match="to: Value error, must be one e-mail address"):
        app.tasks[MAIL_TASK].delay("nobody", "Hello", "Hello")
    assert sum(lengths(redis_server).values()) == 0


@pytest.mark.parametrize(
    ("task", "payload", "queue", "error", "message"),
    [
        (MAIL_TASK, {**MAIL, "to": "x"}, None, InvalidPayload, "to: Value error, must be"),
        (MAIL_TASK, {"to": "a@example.org"}, None, InvalidPayload, "subject: Field required; body"),
        (MAIL_TASK, {**MAIL, "cc": "x"}, None, InvalidPayload, "cc: Extra inputs"),
        ("lane.add", {"x": 1}, "documents", TaskNotAdmitted, "Queues that do: high-priority"),
        ("lane.add", {"x": 1}, "high-priority", InvalidPayload, "'y'"),
        ("lane.add", {"x": 1, "y": 2}, "nope", UnknownQueue, f"Known queues: {NAME_ONE}"),
        ("lane.add", {"x": 1, "y": 2}, None, UnknownQueue, f"Name one of {NAME_ONE}"),
        ("nobody.knows", {}, None, UnknownTask, "Known tasks: documents.embed"),
    ],
)
def test_what_submit_refuses_is_told_with_its_cure_and_not_queued(
    app, redis_server, task, payload, queue, error, message
) -> None:
    with pytest.raises(error, match=message):
        submit(task, payload, queue=queue, app=app)
    assert sum(lengths(redis_server).values()) == 0


def test_a_long_task_is_not_admitted_to_a_lane_of_short_ones(app) -> None:
    with pytest.raises(TaskNotAdmitted, match="Queues that do: high-priority, documents"):
        submit("documents.process", DOCUMENT, queue="notifications", app=app)


def test_a_full_lane_refuses(redis_server, tmp_path: Path) -> None:
    file = write_catalogue(tmp_path / "queues.yaml", "short: {maxLength: 1}")
    with client_of(redis_server, queues_file=file) as app:
        submit("lane.add", {"x": 1, "y": 2}, queue="short", app=app)
        with pytest.raises(LaneFull, match="maxLength is 1"):
            submit("lane.add", {"x": 1, "y": 2}, queue="short", app=app)


def test_a_full_redis_refuses(redis_server) -> None:
    with redis_server.client() as client:
        client.config_set("maxmemory", 2**30)
    try:
        with (
            client_of(redis_server, broker_memory_watermark=1e-6) as app,
            pytest.raises(BrokerFull, match="LANEWAY_BROKER_MEMORY_WATERMARK"),
        ):
            submit(MAIL_TASK, MAIL, app=app)
    finally:
        with redis_server.client() as client:
            client.config_set("maxmemory", 0)


def test_an_absent_redis_refuses(tmp_path: Path) -> None:
    with (
        client_of(RedisServer(tmp_path), broker_timeout_s=0.5) as app,
        pytest.raises(BrokerUnavailable, match="not known to be queued"),
    ):
        submit(MAIL_TASK, MAIL, app=app)


def test_an_idempotency_key_stands_for_one_request(app, redis_server) -> None:
    first = submit(MAIL_TASK, MAIL, app=app, idempotency_key="k")
    again = submit(MAIL_TASK, MAIL, app=app, idempotency_key="k")
    assert (again.task_id, again.replayed) == (first.task_id, True)
    assert lengths(redis_server)["notifications"] == 1
    with pytest.raises(IdempotencyConflict, match="choose another key"):
        submit(MAIL_TASK, {**MAIL, "body": "other"}, app=app, idempotency_key="k")


def test_submit_passes_delay_expiry_and_headers_on(app, redis_server) -> None:
    eta = datetime.now(UTC) + timedelta(hours=1)
    sent = submit(
        MAIL_TASK,
        MAIL,
        app=app,
        eta=eta,
        expires=eta + timedelta(hours=1),
        headers={"tenant": "north"},
    )
    (message,) = delayed(redis_server, "notifications", sent.task_id)
    headers = message["headers"]
    assert datetime.fromisoformat(headers["eta"]) == eta
    assert datetime.fromisoformat(headers["expires"]) == eta + timedelta(hours=1)
    assert headers["tenant"] == "north"
    assert headers["laneway_enqueued_at"] == headers["laneway_first_enqueued_at"]
