"""What a running worker shows of itself, and that showing it never costs a task."""

import urllib.request
from collections import Counter

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fates import outcome_of
from lane_client import lane_client, write_catalogue
from laneway.services.local.processes import free_port
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

LANE, SLOTS = "seen", 2


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    lane = {"concurrency": SLOTS, "maxDeliveries": 2}
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), seen=lane, blind=lane)


@pytest.fixture(scope="module")
def client(module_redis, catalogue):
    with lane_client(module_redis.url, LANE, catalogue) as connected:
        yield connected


@pytest.fixture(scope="module")
def worker(module_redis, module_collector, catalogue, tmp_path_factory):
    with running_worker(
        LANE,
        tmp_path_factory.mktemp(LANE),
        module_redis.url,
        queues_file=str(catalogue),
        task_modules="lane_tasks,fate_tasks",
        otlp_endpoint=module_collector.url,
    ) as running:
        yield running


def openmetrics(worker):
    request = urllib.request.Request(
        f"http://127.0.0.1:{worker.port}/metrics",
        headers={"Accept": "application/openmetrics-text; version=1.0.0"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        return list(text_string_to_metric_families(answer.read().decode()))


def test_what_runs_and_what_waits_is_shown_while_it_does(worker, client, tmp_path):
    release = tmp_path / "release"
    held = [client.send("fate.hold", release=str(release)) for _ in range(SLOTS + 3)]
    wait_for(lambda: worker.metric("laneway_running", task="fate.hold") == SLOTS, "full slots")
    busy = {"queue": LANE, "state": "busy"}
    wait_for(lambda: worker.metric("laneway_slots", **busy) == SLOTS, "the slots to be told")
    assert worker.metric("laneway_slots", queue=LANE, state="idle") == 0
    assert worker.metric("laneway_running_oldest_seconds", queue=LANE) > 0
    # Messages beyond the slots stay in the lane, for any worker of it to take.
    wait_for(
        lambda: worker.metric("laneway_queue_depth", queue=LANE, priority="0") == 3, "the backlog"
    )
    assert worker.metric("laneway_queue_unacked", queue=LANE) == SLOTS
    assert worker.metric("laneway_broker_up") == 1
    release.touch()
    assert client.wait(*held) == ["SUCCESS"] * len(held)
    wait_for(lambda: worker.metric("laneway_running") == 0, "empty slots")
    assert worker.metric("laneway_slots", queue=LANE, state="idle") == SLOTS
    assert worker.metric("laneway_slot_busy_seconds_total", queue=LANE) > 0
    assert worker.metric("laneway_queue_wait_seconds_count", queue=LANE, kind="first") == len(held)


def test_openmetrics_lead_from_a_count_to_the_trace_behind_it(worker, client, module_collector):
    sent = client.send("lane.add", x=1, y=2)
    client.wait(sent)
    wait_for(lambda: worker.attempts(sent.id), "the attempt")
    exemplars = {
        (sample.name, sample.exemplar.labels["trace_id"], sample.exemplar.labels["span_id"])
        for family in openmetrics(worker)
        for sample in family.samples
        if sample.exemplar and sample.labels.get("task") == "lane.add"
    }
    [line] = worker.attempts(sent.id)
    for name in ("laneway_attempts_total", "laneway_attempt_duration_seconds_bucket"):
        assert (name, line["trace_id"], line["span_id"]) in exemplars


def test_a_kill_takes_no_attempts_span_with_it(worker, client, module_collector, tmp_path):
    """Forty that succeeded are in the trace although their process was killed right after."""
    sent = [client.send("lane.add", x=n, y=1) for n in range(40)]
    killed = client.send("lane.kill", survive_after=1, mark=str(tmp_path / "mark"))
    client.wait(*sent, killed)

    def outcomes():
        spans = [s for each in (*sent, killed) for s in module_collector.of_task(each.id)]
        return Counter(outcome_of(s) for s in spans if s.name == f"process {LANE}")

    wait_for(lambda: outcomes().total() >= 42, "the spans of all attempts")
    assert outcomes() == {"success": 41, "worker_lost": 1}


def test_a_hard_limit_calls_on_failure_and_errback_once(worker, client, tmp_path):
    told, first, then = tmp_path / "told", tmp_path / "first", tmp_path / "then"
    errback = client.app.signature(
        "fate.write", kwargs={"mark": str(told), "text": "errback"}, immutable=True, queue=LANE
    )
    sent = client.send_with("fate.hard_limit", {"link_error": errback}, mark=str(told))
    assert client.wait(sent) == ["FAILURE"]
    assert type(sent.result).__name__ == "TimeLimitExceeded"
    wait_for(lambda: told.exists() and len(told.read_text().split()) >= 2, "both to be told")
    # Were there a second errback, it would be in the lane before what comes now.
    for mark in (first, then):
        client.wait(client.send("fate.write", mark=str(mark), text="later"))
    assert Counter(told.read_text().split()) == {"errback": 1, "on_failure": 1}
    assert worker.metric("laneway_child_exits_total", reason="sigkill") >= 1


def test_a_dead_collector_costs_spans_and_no_task(module_redis, catalogue, tmp_path):
    nobody = f"http://127.0.0.1:{free_port()}"
    dropped = "laneway_telemetry_dropped_total"
    with (
        lane_client(module_redis.url, "blind", catalogue) as client,
        running_worker(
            "blind", tmp_path, module_redis.url, queues_file=str(catalogue), otlp_endpoint=nobody
        ) as worker,
    ):
        sent = [client.send("lane.add", x=n, y=1) for n in range(20)]
        assert client.wait(*sent) == ["SUCCESS"] * 20
        # `wait` and `process` of each; its children cannot tell of theirs.
        wait_for(lambda: worker.metric(dropped, signal="traces") >= 40, "the count of the lost")
        assert worker.stop() == 0
        assert "LANEWAY_OTLP_ENDPOINT" in worker.log()
