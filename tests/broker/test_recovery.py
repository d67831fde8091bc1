"""A lane without a worker strands nothing: what is due, and what the dead held, goes back to it."""

import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lane_client import write_catalogue
from lane_holder import lane_holder
from laneway.services.cli.main import app as cli
from laneway.tasks.broker import keys
from laneway.tasks.broker.recovery import Recovered, recover_lane
from laneway.tasks.queues import cached_catalogue
from laneway.tasks.settings import current_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker

LANE = "quiet"


@pytest.fixture
def redis(redis_server: RedisServer):
    with redis_server.client() as client:
        yield client


def expire(redis, worker: str) -> None:
    """Let a worker's lease have run out."""
    redis.zadd(keys.leases(LANE), {worker: 1})


def test_what_is_due_goes_back_and_what_is_not_stays(redis, redis_server) -> None:
    with lane_holder(redis_server, LANE) as holder:
        for message in (b"due", b"later"):
            holder.send(message)
        due, later = holder.claim()
        at_ms = holder.redis_ms() + 60_000
        holder.settle("park", due, "1")
        holder.settle("park", later, str(at_ms))
    found = recover_lane(redis, LANE)
    assert found == Recovered(due=1, recovered=0, ready=1, next_due_at_s=at_ms / 1000)
    assert redis.zcard(keys.delayed(LANE)) == 1


def test_what_a_worker_held_that_is_gone_goes_back_to_the_head_in_order(
    redis, redis_server
) -> None:
    with lane_holder(redis_server, LANE, "gone") as holder:
        for message in (b"first", b"second"):
            holder.send(message)
        holder.claim()
        holder.send(b"third")
    expire(redis, "gone")
    found = recover_lane(redis, LANE, patience_s=0)
    assert (found.recovered, found.ready) == (2, 3)
    assert [entry[-6:] for entry in redis.lrange(LANE, 0, -1)] == ["third", "second", ",first"]
    assert not redis.exists(keys.claims(LANE), keys.leases(LANE), keys.epochs(LANE))


def test_what_the_dead_held_goes_back_though_no_worker_lives_for_long(redis, redis_server) -> None:
    """Each comes, looks once and dies: Redis may have been away, as far as it knows."""
    with lane_holder(redis_server, LANE, "gone") as holder:
        holder.send(b"held")
        holder.claim()
    expire(redis, "gone")
    for life in range(4):
        with (
            lane_holder(redis_server, LANE, f"brief-{life}") as brief,
            lane_holder(redis_server, LANE, f"beside-{life}") as beside,
        ):
            assert (brief.tend(0)[2], beside.tend(0)[2]) == (0, 0)
        time.sleep(1.0)
    with lane_holder(redis_server, LANE, "last") as last:
        assert last.tend(0)[2] == 1
        assert [claim.message for claim in last.claim()] == [b"held"]
    assert not [field for field in redis.hkeys(keys.epochs(LANE)) if "gone" in field]


def test_a_worker_that_comes_back_is_no_longer_missed(redis, redis_server) -> None:
    with lane_holder(redis_server, LANE) as holder, lane_holder(redis_server, LANE, "new") as new:
        holder.send(b"held")
        holder.claim()
        for _ in range(5):
            expire(redis, "w1")
            assert new.tend(0)[2] == 0
            holder.tend()
            time.sleep(0.2)
        assert redis.hlen(keys.claims(LANE)) == 1


def test_a_worker_that_lives_keeps_what_it_holds(redis, redis_server) -> None:
    with lane_holder(redis_server, LANE) as holder:
        holder.send(b"held")
        holder.claim()
        assert recover_lane(redis, LANE, patience_s=0) == Recovered()
        assert redis.hlen(keys.claims(LANE)) == 1


def test_a_worker_that_comes_back_while_it_is_waited_for_keeps_what_it_holds(
    redis, redis_server, monkeypatch
) -> None:
    with lane_holder(redis_server, LANE) as holder:
        holder.send(b"held")
        holder.claim()
        expire(redis, "w1")
        monkeypatch.setattr(time, "sleep", lambda _: holder.tend())
        assert recover_lane(redis, LANE, patience_s=5).recovered == 0
        assert redis.hlen(keys.claims(LANE)) == 1


def test_the_command_does_it_for_every_lane_of_the_catalogue(
    redis, redis_server, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("LANEWAY_BROKER_URL", redis_server.url)
    catalogue = write_catalogue(tmp_path, quiet={}, other={})
    monkeypatch.setenv("LANEWAY_QUEUES_FILE", str(catalogue))
    current_settings.cache_clear()
    cached_catalogue.cache_clear()
    redis.zadd(keys.delayed(LANE), {"1 0 1 tag - 0\nm": 1})
    try:
        answer = CliRunner().invoke(cli, ["recover", "--json"])
    finally:
        current_settings.cache_clear()
    rows = {row["queue"]: row["due"] for row in json.loads(answer.stdout)}
    assert (answer.exit_code, rows) == (0, {"quiet": 1, "other": 0})
    assert redis.llen(LANE) == 1
