"""The rooms of tasks/broker against a real Redis."""

import threading
import time
from uuid import uuid4

import pytest

from laneway.tasks.broker import keys
from laneway.tasks.broker.backlog import check_room, read_backlogs
from laneway.tasks.broker.client import broker_client, connect, reaching, without_password
from laneway.tasks.broker.dead_letters import (
    DeadLetter,
    bury,
    count_lost_delivery,
    read_dead_letters,
)
from laneway.tasks.broker.inspection import inspect_broker
from laneway.tasks.broker.locks import LockHeld, exclusive
from laneway.tasks.broker.rate_limit import SharedTokenBucket
from laneway.tasks.broker.revocations import remember, remembered
from laneway.tasks.broker.submissions import claim_key, record, release_key, wait_until_safe
from laneway.tasks.errors import BrokerFull, BrokerUnavailable, IdempotencyConflict, LaneFull
from laneway.tasks.queues import DeadLetterRetention, Queue
from laneway.tasks.settings import load_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker


@pytest.fixture
def client(redis_server: RedisServer):
    with connect(redis_server.url, 5.0) as client:
        yield client


def letter(reason: str = "unknown task", died_at_s: float | None = None) -> DeadLetter:
    return DeadLetter(
        reason=reason,
        task_id=str(uuid4()),
        task="a.b",
        worker="w",
        deliveries=1,
        died_at_s=time.time() if died_at_s is None else died_at_s,
        message={"body": "x"},
    )


def test_a_backlog_counts_every_priority_list_and_what_workers_hold(client) -> None:
    for name in keys.ready_lists("documents"):
        client.lpush(name, "m")
    client.hset(keys.unacked("documents"), "tag", "m")
    bury(client, "documents", letter(), DeadLetterRetention())

    backlogs = read_backlogs(client, ["documents", "notifications"])

    assert backlogs["documents"].ready == 4
    assert backlogs["documents"].in_flight == 1
    assert backlogs["documents"].dead == 1
    assert backlogs["notifications"].ready == 0


def test_a_full_lane_refuses_and_names_its_limit(client) -> None:
    client.lpush("documents", "a", "b")
    with pytest.raises(LaneFull, match="holds 2 messages; its maxLength is 2"):
        check_room(client, "documents", Queue.model_validate({"maxLength": 2}), 0.75)


def test_a_redis_above_its_watermark_refuses(client) -> None:
    client.config_set("maxmemory", "1mb")
    try:
        with pytest.raises(BrokerFull, match="LANEWAY_BROKER_MEMORY_WATERMARK"):
            check_room(client, "documents", Queue(), 0.01)
    finally:
        client.config_set("maxmemory", "0")


def test_a_rate_limit_is_shared_by_all_who_use_the_task(client) -> None:
    buckets = [SharedTokenBucket(client, "a.b", 0.01) for _ in range(5)]
    assert [bucket.can_consume() for bucket in buckets].count(True) == 1
    assert buckets[4].expected_time() == pytest.approx(100, abs=2)


def test_a_rate_limit_survives_a_redis_that_forgot_its_scripts(client) -> None:
    bucket = SharedTokenBucket(client, "a.c", 1000)
    assert bucket.can_consume()
    client.script_flush()
    time.sleep(0.002)
    assert bucket.can_consume()


def test_nothing_runs_above_its_rate_while_redis_is_away(redis_server: RedisServer) -> None:
    bucket = SharedTokenBucket(connect("redis://127.0.0.1:1/0", 1.0), "a.d", 1000)
    with pytest.raises(BrokerUnavailable), reaching("redis://127.0.0.1:1/0"):
        connect("redis://127.0.0.1:1/0", 1.0).ping()
    assert not bucket.can_consume()
    assert bucket.expected_time() > 0


def test_a_revocation_is_remembered_for_workers_that_start_later(client) -> None:
    remember(client, "one")
    remember(client, "two")
    assert sorted(remembered(client)) == ["one", "two"]


def test_dead_letters_come_youngest_first_and_are_kept_by_count(client) -> None:
    retention = DeadLetterRetention(count=2)
    now = time.time()
    for age, reason in ((3, "first"), (2, "second"), (1, "third")):
        bury(client, "documents", letter(reason, now - age), retention)
    assert [found["reason"] for found in read_dead_letters(client, "documents")] == [
        "third",
        "second",
    ]


def test_dead_letters_are_kept_by_age(client) -> None:
    bury(client, "documents", letter("old", time.time() - 500), DeadLetterRetention(seconds=60))
    assert read_dead_letters(client, "documents") == []


def test_lost_deliveries_are_counted_by_message(client) -> None:
    assert [count_lost_delivery(client, "documents", "a", 60) for _ in range(3)] == [1, 2, 3]
    assert count_lost_delivery(client, "documents", "b", 60) == 1


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


def test_a_claim_of_a_process_that_died_is_taken_over(client) -> None:
    claim_key(client, "key", "digest", "id-1", 10)
    client.hincrby(keys.idempotency("key"), "at", -60)
    assert claim_key(client, "key", "digest", "id-2", 10).mine


def test_durability_says_what_was_reached_without_a_replica(client) -> None:
    assert wait_until_safe(client, "memory", 50).level == "memory"
    answer = wait_until_safe(client, "replica", 50)
    assert (answer.requested, answer.level, answer.replicas) == ("replica", "memory", 0)
    assert wait_until_safe(client, "fsync", 50).requested == "fsync"


def test_a_lock_has_one_holder_and_is_given_back(redis_server: RedisServer) -> None:
    settings = load_settings(broker_url=redis_server.url)
    with (
        exclusive(settings, "index:a", 5.0),
        exclusive(settings, "index:b", 5.0),
        pytest.raises(LockHeld),
        exclusive(settings, "index:a", 5.0),
    ):
        pass
    with exclusive(settings, "index:a", 5.0):
        pass


def test_a_lock_outlives_its_lease_while_its_holder_lives(redis_server: RedisServer) -> None:
    settings = load_settings(broker_url=redis_server.url)
    with exclusive(settings, "index:a", 0.3):
        time.sleep(0.8)
        with pytest.raises(LockHeld), exclusive(settings, "index:a", 0.3):
            pass


def test_an_unsafe_redis_is_told_with_its_cure(client) -> None:
    client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        findings = {finding.check: finding for finding in inspect_broker(client)}
    finally:
        client.config_set("maxmemory-policy", "noeviction")
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
