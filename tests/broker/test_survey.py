"""What those who watch are told of lanes, by a real Redis."""

import json
import time

import pytest

from lane_holder import envelope, lane_holder
from laneway.tasks.broker import keys
from laneway.tasks.broker.client import connect
from laneway.tasks.broker.keys import PUBLISHED_AT
from laneway.tasks.broker.survey import survey, tell_drained

pytestmark = pytest.mark.broker

LANE = "docs"


@pytest.fixture
def client(redis_server):
    with connect(redis_server.url, 5.0) as client:
        yield client


def message(age_s: float | None) -> str:
    headers = {} if age_s is None else {PUBLISHED_AT: f"{time.time() - age_s:.6f}"}
    return json.dumps({"headers": headers})


def test_an_empty_lane(client):
    found = survey(client, [LANE])
    lane = found.lanes[LANE]
    assert lane.ready == dict.fromkeys(keys.PRIORITY_STEPS, 0)
    assert (lane.in_flight, lane.delayed, lane.dead, lane.workers) == (0, 0, 0, 0)
    assert (lane.oldest_age_s, lane.dead_oldest_age_s, lane.drain_requeued) == (0.0, 0.0, 0)
    assert found.memory_bytes > 0
    assert found.memory_limit_bytes == 0


def test_no_lane_is_no_question(client):
    assert survey(client, []).lanes == {}


def test_each_priority_is_counted_and_the_oldest_of_all_tells_the_age(client):
    plain, low, *_ = keys.ready_lists(LANE)
    client.lpush(plain, message(2), message(1))
    client.lpush(low, message(90))
    client.zadd(keys.delayed(LANE), {"later": 1})
    lane = survey(client, [LANE]).lanes[LANE]
    assert lane.ready == {0: 2, 3: 1, 6: 0, 9: 0}
    assert lane.oldest_age_s == pytest.approx(90, abs=5)
    assert lane.delayed == 1
    assert survey(client, [LANE], reads=False).lanes[LANE].oldest_age_s is None


def test_an_oldest_message_without_a_time_makes_the_age_unknown(client):
    client.lpush(LANE, message(None))
    assert survey(client, [LANE]).lanes[LANE].oldest_age_s is None


def test_workers_are_those_whose_lease_runs(redis_server, client):
    with lane_holder(redis_server, LANE, worker="alive") as holder:
        client.lpush(LANE, envelope())
        holder.claim(1)
        client.zadd(keys.leases(LANE), {"dead": 1})
        lane = survey(client, [LANE]).lanes[LANE]
        assert (lane.workers, lane.in_flight) == (1, 1)


def test_the_oldest_dead_letter_tells_how_long_it_has_lain(redis_server, client):
    with lane_holder(redis_server, LANE) as holder:
        letter = holder.bury(envelope(), "invalid task", "no id")
        client.zadd(keys.dead_letters(LANE), {letter: -60_000}, xx=True, incr=True)
        lane = survey(client, [LANE]).lanes[LANE]
        assert lane.dead == 1
        assert lane.dead_oldest_age_s == pytest.approx(60, abs=5)


def test_what_drains_gave_back_adds_up(client):
    tell_drained(client, LANE, 2)
    tell_drained(client, LANE, 3)
    assert survey(client, [LANE]).lanes[LANE].drain_requeued == 5
