"""Each attempt has one outcome, the same in metrics, traces and log, on processes and threads."""

from collections import Counter
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fates import BY_ORDER, LIVED, ON_EVERY_POOL, ON_PROCESSES, TERMINATED, live_through, outcome_of
from lane_client import lane_client, write_catalogue
from laneway.observability.metrics import Metrics
from laneway.observability.tracing import start_tracing
from laneway.services.publishing import observe_publishing
from laneway.tasks.broker.client import broker_client
from laneway.tasks.broker.dead_letters import iterate
from otlp_collector import attributes
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

FATES = {
    "processes": (*ON_EVERY_POOL, *ON_PROCESSES, *BY_ORDER, TERMINATED),
    "threads": (*ON_EVERY_POOL, *BY_ORDER),
}
CASES = [pytest.param(pool, f, id=f"{f} on {pool}") for pool, all_ in FATES.items() for f in all_]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    lane = {"concurrency": 3, "maxDeliveries": 2}
    return write_catalogue(
        tmp_path_factory.mktemp("catalogue"), processes=lane, threads={**lane, "pool": "threads"}
    )


@pytest.fixture(scope="module")
def lives(module_redis, module_collector, catalogue, tmp_path_factory):
    """By pool, a worker that lived through every fate of that pool."""
    url, collector = module_redis.url, module_collector
    settings = {
        "queues_file": str(catalogue),
        "task_modules": "lane_tasks,fate_tasks",
        "otlp_endpoint": collector.url,
    }
    tracing = start_tracing(collector.url, "producer")
    with ExitStack() as stack:
        stack.callback(tracing.shutdown)
        lived = {}
        for pool, fates in FATES.items():
            folder = tmp_path_factory.mktemp(pool)
            worker = stack.enter_context(running_worker(pool, folder, url, **settings))
            client = stack.enter_context(lane_client(url, pool, catalogue))
            observe_publishing(client.app, Metrics(), tracing.tracer)
            lived[pool] = live_through(fates, worker, client, collector)
        yield lived


@pytest.mark.parametrize(("pool", "fate"), CASES)
def test_the_log_has_one_line_an_attempt(lives, pool, fate):
    lines = lives[pool].worker.attempts(lives[pool].sent[fate.name].id)
    assert tuple(line["outcome"] for line in lines) == fate.outcomes
    assert {line["queue"] for line in lines} == {pool}
    assert {line["task"] for line in lines} == {fate.task}


@pytest.mark.parametrize(("pool", "fate"), CASES)
def test_the_trace_has_one_span_an_attempt(lives, pool, fate):
    """Side by side under the first send, retries linked to what they retry."""
    lived = lives[pool]
    sends, attempts = lived.spans(fate, f"send {pool}"), lived.spans(fate, f"process {pool}")
    assert tuple(map(outcome_of, attempts)) == fate.outcomes
    assert {span.trace_id for span in [*attempts, *sends]} == {sends[0].trace_id}
    assert {span.parent_span_id for span in attempts} == {sends[0].span_id}
    for before, after in pairwise(attempts):
        linked = [link.span_id for link in after.links]
        assert linked == ([before.span_id] if outcome_of(before) == "retry" else [])


@pytest.mark.parametrize(("pool", "fate"), CASES)
def test_code_that_lived_has_its_span_under_its_attempt(lives, pool, fate):
    lived = lives[pool]
    attempts = lived.spans(fate, f"process {pool}")
    expected = [span.span_id for span in attempts if outcome_of(span) in LIVED]
    runs = lived.spans(fate, f"run {fate.task}")
    parents = [span.parent_span_id for span in runs]
    assert set(parents) <= {span.span_id for span in attempts}
    assert Counter(parents) >= Counter(expected)
    assert len(parents) == len(set(parents))


@pytest.mark.parametrize(("pool", "fate"), CASES)
def test_the_caller_reads_the_state(lives, pool, fate):
    assert lives[pool].sent[fate.name].state == fate.state


@pytest.mark.parametrize("pool", FATES)
def test_the_metrics_count_each_attempt_once(lives, pool):
    _, text = lives[pool].worker.get("/metrics")
    counted = {
        (sample.labels["task"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "laneway_attempts_total" and sample.value
    }
    assert counted == Counter((fate.task, o) for fate in FATES[pool] for o in fate.outcomes)


@pytest.mark.parametrize("pool", FATES)
def test_nothing_is_left_in_flight_and_the_worker_lives(lives, pool):
    worker = lives[pool].worker
    assert worker.process.poll() is None
    assert worker.metric("laneway_running") == 0
    wait_for(lambda: worker.metric("laneway_queue_unacked", queue=pool) == 0, "empty hands")
    assert worker.metric("laneway_queue_depth", queue=pool, priority="0") == 0


def test_what_was_killed_too_often_lies_among_the_dead_letters_with_its_reason(lives):
    lived = lives["processes"]
    letters = list(iterate(broker_client(lived.client.app.settings), "processes"))
    ends = ("killed too often", "left too often")
    assert {letter.task_id for letter in letters} == {lived.sent[name].id for name in ends}
    assert {(letter.kind, letter.deliveries) for letter in letters} == {("delivery limit", 2)}
    assert all("its process was lost" in letter.reason for letter in letters)
    assert lived.worker.metric("laneway_dead_lettered_total", reason="delivery limit") == 2


def test_a_killed_attempt_says_so_in_metrics_traces_and_log(lives):
    lived = lives["processes"]
    for fate in (f for f in ON_PROCESSES if {"worker_lost", "hard_timeout"} & {*f.outcomes}):
        killed = lived.spans(fate, "process processes")[0]
        assert killed.status.code == killed.status.STATUS_CODE_ERROR
        assert attributes(killed)["error.type"]
        line = lived.worker.attempts(lived.sent[fate.name].id)[0]
        assert line["level"] in ("warning", "error")
        assert line["span_id"] == killed.span_id.hex()
        assert line["duration_s"] > 0
    count = "laneway_attempt_duration_seconds_count"
    assert lived.worker.metric(count, **{"class": "killed", "task": "lane.hard_limit"}) == 1
    assert lived.worker.metric(count, **{"class": "killed", "task": "lane.kill"}) == 3
    assert lived.worker.metric("laneway_errors_total", error_type="WorkerLostError") == 3
    assert lived.worker.metric("laneway_errors_total", error_type="SystemExit") == 3
    # two that were killed too often, one killed once, one hard limit
    assert lived.worker.metric("laneway_child_exits_total", reason="sigkill") >= 4


def test_a_handled_soft_limit_is_told_from_one_that_was_not(lives):
    worker = lives["processes"].worker
    soft = "laneway_soft_timeouts_total"
    assert worker.metric(soft, task="fate.soft_handled", handled="true") == 1
    assert worker.metric(soft, task="lane.soft_limit", handled="false") == 1


def test_a_lost_delivery_comes_again_marked_as_such(lives):
    lived = lives["processes"]
    fate = next(f for f in ON_PROCESSES if f.name == "killed once")
    spans = lived.spans(fate, "process processes")
    assert [bool(attributes(s)["celery.redelivered"]) for s in spans] == [False, True]
    assert lived.worker.metric("laneway_redelivered_total", task="lane.kill") == 2
