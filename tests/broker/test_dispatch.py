"""The door in, against a real Redis."""

from pathlib import Path

import pytest

from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import BrokerUnavailable, IdempotencyConflict, LaneFull
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker

MAIL = {"to": "a@example.org", "subject": "s", "body": "b"}
TASK = "notifications.send_email"


@pytest.fixture
def app(redis_server: RedisServer, tmp_path: Path) -> LanewayApp:
    catalogue = tmp_path / "queues.yaml"
    catalogue.write_text("queues: {notifications: {maxLength: 2}}")
    return create_app(load_settings(broker_url=redis_server.url), load_catalogue(catalogue))


def test_a_repeated_key_is_answered_with_its_task_even_when_the_lane_is_full(app) -> None:
    first = submit(TASK, MAIL, app=app, idempotency_key="k")
    submit(TASK, MAIL, app=app)
    with pytest.raises(LaneFull):
        submit(TASK, MAIL, app=app)

    again = submit(TASK, MAIL, app=app, idempotency_key="k")

    assert (again.task_id, again.replayed) == (first.task_id, True)


def test_a_key_refused_by_a_full_lane_works_once_there_is_room(app, redis_server) -> None:
    submit(TASK, MAIL, app=app)
    submit(TASK, MAIL, app=app)
    with pytest.raises(LaneFull):
        submit(TASK, MAIL, app=app, idempotency_key="k")
    with redis_server.client() as client:
        client.rpop("notifications")

    assert not submit(TASK, MAIL, app=app, idempotency_key="k").replayed


def test_a_key_of_another_owner_is_another_key(app) -> None:
    first = submit(TASK, MAIL, app=app, idempotency_key="k", owner="one")
    second = submit(TASK, MAIL, app=app, idempotency_key="k", owner="two")
    assert first.task_id != second.task_id


def test_a_key_with_another_payload_is_a_conflict(app) -> None:
    submit(TASK, MAIL, app=app, idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        submit(TASK, {**MAIL, "body": "other"}, app=app, idempotency_key="k")


def test_a_replay_waits_for_the_durability_it_asks_for(app) -> None:
    submit(TASK, MAIL, app=app, idempotency_key="k")
    again = submit(TASK, MAIL, app=app, idempotency_key="k", durability="replica")
    assert again.durability.requested == "replica"


def test_a_redis_that_is_not_there_is_an_error_with_its_cure(tmp_path: Path) -> None:
    settings = load_settings(broker_url="redis://:hush@127.0.0.1:1/0", broker_timeout_s=1)
    with pytest.raises(BrokerUnavailable, match="laneway doctor") as caught:
        submit(TASK, MAIL, app=create_app(settings, load_catalogue()))
    assert "hush" not in str(caught.value)
