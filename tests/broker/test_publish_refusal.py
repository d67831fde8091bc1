"""A publish that has no room is refused, of whichever kind; a worker's never is."""

import json
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from celery import Celery, group

from lane_client import write_catalogue
from lane_holder import lane_holder
from laneway.tasks.app import LanewayApp, create_app, prepare_worker
from laneway.tasks.broker import keys, publish
from laneway.tasks.broker.backlog import read_backlogs
from laneway.tasks.broker.publish import UNASKED_SHARE, BatchRefused
from laneway.tasks.dispatch import submit
from laneway.tasks.errors import BrokerFull, LaneFull
from laneway.tasks.queues import load_catalogue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer, running_redis

pytestmark = pytest.mark.broker

LANE = "small"
ADD = "lane.add"
MAIL_TASK = "notifications.send_email"
MAIL = {"to": "a@example.org", "subject": "s", "body": "b"}


@pytest.fixture
def redis(redis_server: RedisServer):
    with redis_server.client() as client:
        yield client


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    return write_catalogue(
        tmp_path, small={"maxLength": 3}, roomy={"maxLength": 10 * UNASKED_SHARE}
    )


def make_app(server: RedisServer, catalogue: Path, **settings) -> LanewayApp:
    loaded = load_settings(broker_url=server.url, **settings)
    return create_app(loaded, load_catalogue(catalogue))


@pytest.fixture
def app(redis_server: RedisServer, catalogue: Path):
    app = make_app(redis_server, catalogue)
    yield app
    app.close()


def send(app: Celery, queue: str = LANE, **options) -> str:
    return app.send_task(ADD, kwargs={"x": 1, "y": 2}, queue=queue, **options).id


def send_batch(app: LanewayApp, ids: Iterable[str], size: int = 10, **options) -> None:
    """Send in one batch, of so many at once, tasks of these ids."""
    with app.producer_for(LANE) as producer, producer.batch(size):
        for task_id in ids:
            send(app, producer=producer, task_id=task_id, **options)


def ids_on(redis, queue: str = LANE) -> list[str]:
    return [json.loads(entry)["headers"]["id"] for entry in redis.lrange(queue, 0, -1)]


def test_a_full_lane_refuses_a_plain_publish_until_there_is_room(app, redis) -> None:
    for _ in range(3):
        send(app)
    with pytest.raises(LaneFull, match="holds 3 messages; its maxLength is 3"):
        send(app)
    assert redis.llen(LANE) == 3

    redis.rpop(LANE)

    assert send(app) == ids_on(redis)[0]


def test_a_task_of_the_app_is_refused_too(app, redis) -> None:
    @app.task(name=ADD, shared=False)
    def add(x, y):
        return x + y

    for number in range(3):
        add.apply_async((number, 1), queue=LANE)
    with pytest.raises(LaneFull):
        add.apply_async((3, 1), queue=LANE)
    with pytest.raises(LaneFull):
        add.apply_async((3, 1), queue=LANE, countdown=60)
    with pytest.raises(LaneFull):
        group(add.s(4, 1)).apply_async(queue=LANE)
    assert redis.llen(LANE) == 3


def test_what_is_held_and_what_is_delayed_takes_room(app, redis, redis_server) -> None:
    with lane_holder(redis_server, LANE) as holder:
        send(app)
        holder.claim(1)
        send(app, countdown=60)
        redis.hset(keys.stock_unacked(LANE), "tag", "m")
        with pytest.raises(LaneFull):
            send(app)
        with pytest.raises(LaneFull):
            send(app, countdown=60)
    assert redis.llen(LANE) == 0


def test_a_message_is_put_where_its_priority_and_time_say(app, redis) -> None:
    soon, late = send(app, priority=9), send(app, priority=9, countdown=60)
    now = send(app)
    assert ids_on(redis) == [now]
    assert ids_on(redis, keys.ready_lists(LANE)[3]) == [soon]
    ((record, due_ms),) = redis.zrange(keys.delayed(LANE), 0, -1, withscores=True)
    head, _, message = record.partition("\n")
    assert (head.split()[:3], json.loads(message)["headers"]["id"]) == (["1", "0", "4"], late)
    assert 50 < due_ms / 1000 - time.time() < 70


def test_publishers_far_from_the_limit_do_not_ask_each_time(app, redis) -> None:
    send(app, "roomy")
    redis.config_resetstat()
    send(app, "roomy")
    assert "cmdstat_evalsha" not in redis.info("commandstats")
    assert redis.llen("roomy") == 2


def test_a_publisher_takes_a_small_part_of_the_room_without_asking(app, redis) -> None:
    send(app, "roomy")
    redis.lpush("roomy", *["m"] * (10 * UNASKED_SHARE))
    unasked = 10 * UNASKED_SHARE // UNASKED_SHARE
    with pytest.raises(LaneFull):
        [send(app, "roomy") for _ in range(unasked + 1)]
    assert redis.llen("roomy") <= 1 + 10 * UNASKED_SHARE + unasked


@pytest.mark.parametrize("countdown", [None, 60])
def test_a_batch_fills_the_lane_and_names_what_was_refused(app, redis, countdown) -> None:
    options = {"countdown": countdown} if countdown else {}
    with pytest.raises(BatchRefused, match="2 of the 5 messages") as caught:
        send_batch(app, list("abcde"), **options)
    assert set(caught.value.refusals) == {"d", "e"}
    assert isinstance(caught.value, LaneFull)
    assert read_backlogs(redis, [LANE])[LANE].waiting == 3
    if not countdown:
        assert ids_on(redis) == ["c", "b", "a"]


def test_a_batch_that_is_sent_in_parts_tells_all_that_was_refused(app, redis) -> None:
    with pytest.raises(BatchRefused, match="4 of the 7 messages") as caught:
        send_batch(app, list("abcdefg"), size=2)
    assert set(caught.value.refusals) == set("defg")


def test_a_batch_that_was_left_by_an_error_sends_nothing(app, redis) -> None:
    def ids():
        yield "a"
        raise KeyError

    with pytest.raises(KeyError):
        send_batch(app, ids())
    assert redis.llen(LANE) == 0


def test_large_messages_do_not_wait_for_a_whole_batch(app, redis, monkeypatch) -> None:
    monkeypatch.setattr(publish, "BATCH_BYTES", 100)
    with app.producer_for(LANE) as producer, producer.batch(10):
        send(app, producer=producer)
        assert redis.llen(LANE) == 1


def test_above_the_watermark_everything_is_refused(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server, catalogue, broker_memory_watermark=0.01)
    redis.config_set("maxmemory", "8mb")
    try:
        with pytest.raises(BrokerFull, match="LANEWAY_BROKER_MEMORY_WATERMARK"):
            send(app)
        with pytest.raises(BrokerFull):
            send(app)  # by what is known of it
        with pytest.raises(BatchRefused) as caught:
            send_batch(app, ["a"])
    finally:
        redis.config_set("maxmemory", 0)
        app.close()
    assert isinstance(caught.value, BrokerFull)
    assert redis.llen(LANE) == 0


def test_a_redis_without_memory_left_is_a_full_broker(tmp_path, catalogue) -> None:
    with running_redis(tmp_path / "redis") as server, server.client() as client:
        app = make_app(server, catalogue, broker_memory_watermark=1.0)
        send(app)  # the share is known from here on
        client.config_set("maxmemory", 1)
        with pytest.raises(BrokerFull):
            send(app)
        client.config_set("maxmemory", 0)
        assert client.llen(LANE) == 1
        app.close()


def test_a_worker_is_never_refused(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server, catalogue, broker_memory_watermark=0.001)
    prepare_worker(app, "roomy")
    redis.lpush(LANE, "m", "m", "m")
    redis.config_set("maxmemory", "512mb")
    try:
        send(app)
        send(app, countdown=60)
        submit(MAIL_TASK, MAIL, queue=LANE, app=app)
        send_batch(app, ["a"])
    finally:
        redis.config_set("maxmemory", 0)
        app.close()
    assert (redis.llen(LANE), redis.zcard(keys.delayed(LANE))) == (6, 1)


def test_a_stock_producer_cannot_be_refused(redis_server, redis) -> None:
    redis.lpush(LANE, "m", "m", "m")
    with Celery(broker=redis_server.url) as stock:
        stock.send_task(ADD, queue=LANE)
    assert redis.llen(LANE) == 4


def test_on_kombus_own_transport_submit_looks_beforehand(redis_server, redis, catalogue) -> None:
    app = make_app(redis_server, catalogue, transport="kombu")
    redis.lpush(LANE, "m", "m", "m")
    with pytest.raises(LaneFull):
        submit(MAIL_TASK, MAIL, queue=LANE, app=app)
    app.close()
