"""The rooms of tasks/broker against a real Redis."""

import threading
import time
from dataclasses import asdict
from uuid import uuid4

import pytest
import redis

from lane_holder import lane_holder
from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import check_room, read_backlogs
from laneway.tasks.broker.client import broker_client, connect, reaching, without_password
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.broker.locks import LockHeld, exclusive
from laneway.tasks.broker.rate_limit import take_turn
from laneway.tasks.broker.revocations import remember, remembered
from laneway.tasks.broker.submissions import claim_key, record, release_key, wait_until_safe
from laneway.tasks.errors import BrokerFull, BrokerUnavailable, IdempotencyConflict, LaneFull
from laneway.tasks.queues import Queue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker


@pytest.fixture
def client(redis_server: RedisServer):
    with connect(redis_server.url, 5.0) as client:
        yield client


def test_a_backlog_counts_every_priority_list_and_what_workers_hold(
    client, redis_server: RedisServer
) -> None:
    with lane_holder(redis_server, "documents") as holder:
        holder.bury(b"dead")
        holder.send(b"held")
        holder.send(b"delayed")
        held, delayed = holder.claim()
        holder.settle("park", delayed, str(holder.redis_ms() + 60_000))
    for name in (*keys.ready_lists("documents"), keys.intake("documents")):
        client.lpush(name, "m")
    client.hset(keys.stock_unacked("documents"), "tag", "m")

    backlogs = read_backlogs(client, ["documents", "notifications"])

    assert asdict(backlogs["documents"]) == {"ready": 5, "in_flight": 2, "delayed": 1, "dead": 1}
    assert backlogs["documents"].waiting == 8
    assert set(asdict(backlogs["notifications"]).values()) == {0}
    assert held.message == b"held"


def test_a_full_lane_refuses_and_names_its_limit(client) -> None:
    client.lpush("documents", "a", "b")
    with pytest.raises(LaneFull, match="holds 2 messages; its maxLength is 2"):
        check_room(client, "documents", Queue.model_validate({"maxLength": 2}), 0.75)


def test_a_redis_above_its_watermark_refuses(client, redis) -> None:
    redis.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(BrokerFull, match="LANEWAY_BROKER_MEMORY_WATERMARK"):
            check_room(client, "documents", Queue(), 0.01)
    finally:
        redis.config_set("maxmemory", "0")


def test_a_rate_limit_is_shared_by_all_who_use_the_task(client) -> None:
    turns = [take_turn(client, "a.b", 0.01, 0) for _ in range(5)]
    assert turns[0] is None
    first_ms = turns[1]
    assert [turn - first_ms for turn in turns[1:]] == [0, 100_000, 200_000, 300_000]
    assert take_turn(client, "a.other", 0.01, 0) is None


def test_a_turn_that_has_come_lets_its_message_run(client) -> None:
    assert take_turn(client, "a.b", 0.01, 0) is None
    now_ms = client.time()[0] * 1000
    assert take_turn(client, "a.b", 0.01, now_ms) is None
    assert take_turn(client, "a.b", 0.01, now_ms - 3_600_000) is not None


def test_a_rate_limit_survives_a_redis_that_forgot_its_scripts(client, redis) -> None:
    assert take_turn(client, "a.c", 0.01, 0) is None
    redis.script_flush()
    assert take_turn(client, "a.c", 0.01, 0) is not None


def test_no_turn_is_given_while_redis_is_away() -> None:
    url = "redis://127.0.0.1:1/0"
    with pytest.raises(BrokerUnavailable), reaching(url):
        connect(url, 1.0).ping()
    with pytest.raises(redis.exceptions.ConnectionError):
        take_turn(connect(url, 1.0), "a.d", 1000, 0)


def test_a_revocation_is_remembered_for_workers_that_start_later(client) -> None:
    remember(client, "one")
    remember(client, "two")
    assert sorted(remembered(client)) == ["one", "two"]


def test_of_many_callers_with_one_idempotency_key_one_publishes(client) -> None:
    claims = []

    def call() -> None:
        claim = claim_key(client, "key", "digest", str(uuid4()), 10)
        claims.append(claim)
        if claim.mine:
            record(client, claim.task_id, {"queue": "documents"}, "key")

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({claim.task_id for claim in claims}) == 1
    assert [claim.mine for claim in claims].count(True) == 1


def test_the_same_key_for_another_request_is_a_conflict(client) -> None:
    record(client, claim_key(client, "key", "digest", "id", 10).task_id, {"queue": "a"}, "key")
    with pytest.raises(IdempotencyConflict):
        claim_key(client, "key", "another", "id-2", 10)


def test_a_claim_whose_publish_failed_is_taken_over_under_the_same_id(client) -> None:
    first = claim_key(client, "key", "digest", "id-1", 10)
    release_key(client, "key")
    second = claim_key(client, "key", "digest", "id-2", 10)
    assert second.mine
    assert second.task_id == first.task_id


def test_a_claim_of_a_process_that_died_is_taken_over(client, redis) -> None:
    claim_key(client, "key", "digest", "id-1", 10)
    redis.hincrby(keys.idempotency("key"), "at", -60)
    assert claim_key(client, "key", "digest", "id-2", 10).mine


def test_durability_says_what_was_reached_without_a_replica(client) -> None:
    assert wait_until_safe(client, "memory", 50).level == "memory"
    answer = wait_until_safe(client, "replica", 50)
    assert (answer.requested, answer.level, answer.replicas) == ("replica", "memory", 0)
    assert wait_until_safe(client, "fsync", 50).requested == "fsync"


def test_a_lock_has_one_holder_and_is_given_back(redis_server: RedisServer) -> None:
    settings = load_settings(broker_url=redis_server.url)
    with (
        exclusive(settings, "rag.index_collection:a", 5.0),
        exclusive(settings, "rag.index_collection:b", 5.0),
        pytest.raises(LockHeld),
        exclusive(settings, "rag.index_collection:a", 5.0),
    ):
        pass
    with exclusive(settings, "rag.index_collection:a", 5.0):
        pass


def test_a_lock_outlives_its_lease_while_its_holder_lives(redis_server: RedisServer) -> None:
    settings = load_settings(broker_url=redis_server.url)
    with exclusive(settings, "rag.index_collection:a", 0.3):
        time.sleep(0.8)
        with pytest.raises(LockHeld), exclusive(settings, "rag.index_collection:a", 0.3):
            pass


def test_an_unsafe_redis_is_told_with_its_cure(client, redis) -> None:
    redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = {finding.check: finding for finding in inspect_broker(client)}
    finally:
        redis.config_set("maxmemory-policy", "noeviction")
    assert findings["version"].level == "ok"
    assert findings["persistence"].level == "warning"
    assert "appendonly yes" in findings["persistence"].cure
    assert findings["eviction"].level == "error"
    assert "noeviction" in findings["eviction"].cure


def test_a_url_is_shown_without_its_password() -> None:
    assert without_password("redis://u:secret@h:1/0") == "redis://u:***@h:1/0"
    settings = load_settings(broker_url="redis://u:secret@127.0.0.1:1/0", broker_timeout_s=1)
    with pytest.raises(BrokerUnavailable) as caught, reaching(settings.broker):
        broker_client(settings).ping()
    assert "secret" not in str(caught.value)
    assert "laneway doctor" in str(caught.value)


def test_a_user_without_rights_is_told_of_them_and_not_to_start_redis(redis, redis_server) -> None:
    redis.execute_command("ACL", "SETUSER", "poor", "on", ">word", "~*", "+ping")
    for password, cure in [("word", "rights that `laneway acl`"), ("other", "Correct user and")]:
        url = f"redis://poor:{password}@127.0.0.1:{redis_server.port}/0"
        settings = load_settings(broker_url=url, broker_timeout_s=1)
        with pytest.raises(BrokerUnavailable, match=cure), reaching(settings.broker):
            broker_client(settings).llen("mail")
    redis.execute_command("ACL", "DELUSER", "poor")
