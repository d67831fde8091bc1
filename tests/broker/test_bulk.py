"""Many tasks at once, against a real Redis."""

import json
from datetime import UTC, datetime
from pathlib import Path
from threading import Timer

import pytest

from lane_client import write_catalogue
from laneway.tasks.app import LanewayApp, create_app
from laneway.tasks.broker import keys
from laneway.tasks.broker.submissions import claim_key, read_record, release_key
from laneway.tasks.bulk import AT_ONCE, submit_many
from laneway.tasks.dispatch import Submission, TaskRequest, check_request, scoped_key, submit
from laneway.tasks.errors import (
    BrokerUnavailable,
    DeliveryUncertain,
    IdempotencyConflict,
    InvalidPayload,
    LaneFull,
    TaskNotAdmitted,
    UnknownQueue,
    UnknownTask,
)
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer, running_redis

pytestmark = pytest.mark.broker

TASK = "notifications.send_email"
MAIL = {"to": "a@example.org", "subject": "s", "body": "b"}
LANE = "notifications"
MOST = 2 * AT_ONCE


@pytest.fixture
def redis(redis_server: RedisServer):
    with redis_server.client() as client:
        yield client


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    lane = {"tasks": ["notifications.*"], "maxLength": MOST}
    return write_catalogue(tmp_path, notifications=lane, other={"tasks": ["notifications.*"]})


def make_app(url: str, catalogue: Path, **settings) -> LanewayApp:
    return create_app(load_settings(broker_url=url, **settings), load_catalogue(catalogue))


@pytest.fixture(params=["laneway", "kombu"])
def app(request, redis_server: RedisServer, catalogue: Path):
    """On either transport: what is taken or refused is the same."""
    app = make_app(redis_server.url, catalogue, transport=request.param)
    yield app
    app.close()


def mail(key: str | None = None, **fields) -> TaskRequest:
    return TaskRequest(**{"task": TASK, "kwargs": MAIL, "idempotency_key": key, **fields})


def ids_on(redis, lane: str = LANE) -> list[str]:
    """Of a lane's messages, the first to be taken first."""
    return [json.loads(entry)["headers"]["id"] for entry in redis.lrange(lane, 0, -1)][::-1]


def ids_of(outcomes) -> list[str]:
    assert all(isinstance(outcome, Submission) for outcome in outcomes), outcomes
    return [outcome.task_id for outcome in outcomes]


def test_all_are_queued_in_their_order_and_noted(app, redis) -> None:
    requests = [mail(owner="me") for _ in range(AT_ONCE + 10)]
    outcomes = submit_many(requests, app=app)
    assert ids_of(outcomes) == ids_on(redis)
    noted = {"queue": LANE, "task": TASK, "owner": "me"}
    assert [read_record(redis, outcome.task_id) for outcome in outcomes] == [noted] * len(outcomes)
    assert redis.ttl(keys.submission(outcomes[0].task_id)) > 0
    assert {(o.task, o.queue, o.replayed) for o in outcomes} == {(TASK, LANE, False)}


def test_a_message_is_as_of_submit_alone(app, redis) -> None:
    options = {"priority": 3, "expires": 60.0, "headers": {"mine": "1"}}
    submit_many([mail(**options)], app=app)
    submit(TASK, MAIL, app=app, **options)
    bulk, alone = map(json.loads, redis.lrange(f"{LANE}\x06\x163", 0, -1))
    own = {"id", "root_id", "expires", "laneway_enqueued_at", "laneway_first_enqueued_at"}
    assert bulk["headers"].keys() == alone["headers"].keys()
    for name in bulk["headers"].keys() - own:
        assert bulk["headers"][name] == alone["headers"][name]
    assert bulk["body"] == alone["body"]


def test_few_round_trips_carry_many(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server.url, catalogue)
    submit_many([mail("warm")], app=app)
    before = redis.info("stats")["total_reads_processed"]
    submit_many([mail(str(number)) for number in range(AT_ONCE)], app=app)
    reads = redis.info("stats")["total_reads_processed"] - before
    app.close()
    # Redis reads 16 kB at a time, and what is sent here is a few hundred of those.
    sent = sum(map(len, redis.lrange(LANE, 0, -1))) / 16_384
    assert reads < 30 + 4 * sent


def test_each_is_refused_for_its_own_reason(app, redis) -> None:
    outcomes = submit_many(
        [
            mail(),
            mail(task="a.b"),
            mail(kwargs={"to": 5}),
            mail(task="rag.index_collection", kwargs={"collection": "c"}, queue=LANE),
            mail(queue="nowhere"),
            mail(queue="other"),
        ],
        app=app,
    )
    assert [type(outcome) for outcome in outcomes] == [
        Submission,
        UnknownTask,
        InvalidPayload,
        TaskNotAdmitted,
        UnknownQueue,
        Submission,
    ]
    assert ids_on(redis) == [outcomes[0].task_id]
    assert ids_on(redis, "other") == [outcomes[5].task_id]


def test_what_json_cannot_say_costs_no_other_task(redis_server, redis, catalogue) -> None:
    # Any module will do: with one named, the tasks of the app are known at the door.
    app = make_app(redis_server.url, catalogue, task_modules="json")

    @app.task(name="notifications.any", shared=False)
    def take(what):
        del what

    bad = {"task": "notifications.any", "kwargs": {"what": object()}}
    good, refused, keyed = submit_many([mail(), mail(**bad), mail("k", **bad)], app=app)
    fine = submit_many([mail("k")], app=app)
    app.close()
    assert type(refused) is type(keyed) is InvalidPayload
    assert ids_on(redis) == [good.task_id, *ids_of(fine)]


def test_delayed_ones_wait_in_redis(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server.url, catalogue)
    late, now, at = submit_many(
        [mail(countdown_s=60), mail(), mail(eta=datetime(2999, 1, 1, tzinfo=UTC))], app=app
    )
    app.close()
    delayed = redis.zrange(keys.delayed(LANE), 0, -1)
    assert [json.loads(entry.partition("\n")[2])["headers"]["id"] for entry in delayed] == [
        late.task_id,
        at.task_id,
    ]
    assert ids_on(redis) == [now.task_id]


def test_the_lane_is_filled_and_the_rest_refused(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server.url, catalogue)
    redis.lpush(LANE, *["m"] * (MOST - AT_ONCE - 5))
    outcomes = submit_many([mail(str(n)) for n in range(AT_ONCE + 10)], app=app)
    assert ids_of(outcomes[: AT_ONCE + 5])
    assert {type(outcome) for outcome in outcomes[AT_ONCE + 5 :]} == {LaneFull}
    assert redis.llen(LANE) == MOST

    redis.ltrim(LANE, 0, 9)
    again = submit_many([mail(str(AT_ONCE + 9)), mail("0")], app=app)

    assert [outcome.replayed for outcome in again] == [False, True]
    app.close()


def test_a_repeated_bulk_is_answered_with_its_tasks(app, redis) -> None:
    requests = [mail(str(number)) for number in range(3)]
    first, second = submit_many(requests, app=app), submit_many(requests, app=app)
    assert ids_of(first) == ids_of(second) == ids_on(redis)
    assert [outcome.replayed for outcome in second] == [True] * 3


def test_a_key_given_twice_in_a_bulk_is_one_task_or_a_conflict(app, redis) -> None:
    first, twin, other = submit_many(
        [mail("k"), mail("k"), mail("k", kwargs={**MAIL, "body": "other"})], app=app
    )
    assert (twin.task_id, twin.replayed) == (first.task_id, True)
    assert isinstance(other, IdempotencyConflict)
    assert ids_on(redis) == [first.task_id]


def test_a_key_that_another_process_is_using_is_waited_for(app, redis) -> None:
    request = mail("k")
    digest = request.digest(check_request(app, request))
    claim_key(redis, scoped_key(request), digest, "the-other", 60)
    timer = Timer(0.3, release_key, (redis, scoped_key(request)))
    timer.start()
    taken, free = submit_many([request, mail()], app=app)
    timer.join()
    assert taken.task_id == "the-other"  # its publish failed, and this one took its place
    assert ids_on(redis) == [free.task_id, "the-other"]


def test_durability_is_awaited_once_for_all_that_ask(app, redis) -> None:
    redis.config_resetstat()
    outcomes = submit_many([mail(durability="replica")] * 3 + [mail()], app=app)
    assert [o.durability.requested for o in outcomes] == ["replica"] * 3 + ["memory"]
    assert all(o.durability.reason for o in outcomes[:3])
    assert redis.info("commandstats")["cmdstat_wait"]["calls"] == 1


def test_nothing_is_nothing(app) -> None:
    assert submit_many([], app=app) == []


@pytest.mark.parametrize("key", [None, "k"])
def test_before_a_frozen_redis_all_hear_it_at_once(tmp_path, catalogue, key) -> None:
    with running_redis(tmp_path / "redis") as server:
        app = make_app(server.url, catalogue, broker_timeout_s=0.5)
        submit_many([mail()], app=app)
        server.freeze()
        try:
            outcomes = submit_many([mail(key and f"{key}{n}") for n in range(3 * AT_ONCE)], app=app)
        finally:
            server.thaw()
        app.close()
    assert all(isinstance(outcome, BrokerUnavailable) for outcome in outcomes)
    uncertain = [type(outcome) for outcome in outcomes].count(DeliveryUncertain)
    # With a key nothing was sent yet; without one the first round trip was under way.
    assert uncertain == (0 if key else AT_ONCE)
    assert all(server.url in str(outcome) for outcome in outcomes)


def test_a_connection_that_redis_closed_is_made_anew(app, redis) -> None:
    submit_many([mail()], app=app)
    for client in redis.client_list():
        if client["id"] != str(redis.client_id()):
            redis.client_kill_filter(client["id"])
    assert ids_of(submit_many([mail()], app=app))
