"""Spans at a real OpenTelemetry Collector: of every attempt, also those that were killed."""

from collections import Counter
from pathlib import Path

import pytest

from lane_client import lane_client, write_catalogue
from laneway.observability.metrics import Metrics
from laneway.observability.tracing import start_tracing
from laneway.services.publishing import observe_publishing
from observed.servers import running_collector
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.observed

LANE = "seen"
GOOD = 40


@pytest.fixture(scope="module")
def collector(otelcol: Path, tmp_path_factory):
    with running_collector(otelcol, tmp_path_factory.mktemp("collector") / "run") as running:
        yield running


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(
        tmp_path_factory.mktemp("catalogue"), seen={"concurrency": 1, "maxDeliveries": 2}
    )


@pytest.fixture(scope="module")
def worker(module_redis, collector, catalogue, tmp_path_factory):
    settings = {
        "queues_file": str(catalogue),
        "task_modules": "lane_tasks,fate_tasks",
        "otlp_endpoint": collector.url,
    }
    folder = tmp_path_factory.mktemp(LANE)
    with running_worker(LANE, folder, module_redis.url, **settings) as running:
        yield running


def test_every_attempt_has_its_span_the_killed_one_too(
    worker, module_redis, catalogue, collector, tmp_path
):
    with lane_client(module_redis.url, LANE, catalogue) as client:
        sent = [client.send("lane.add", x=1, y=2) for _ in range(GOOD)]
        client.wait(*sent)
        killed = client.send("lane.kill", mark=str(tmp_path / "mark"), survive_after=1)
        client.wait(killed)
        attempts = f"process {LANE}"
        wait_for(lambda: len(collector.named(attempts)) >= GOOD + 2, "the spans of attempts")
        spans = collector.named(attempts)
        outcomes = Counter(span["attributes"]["celery.outcome"] for span in spans)
        assert outcomes == {"success": GOOD + 1, "worker_lost": 1}
        of_killed = [s for s in spans if s["attributes"]["messaging.message.id"] == killed.id]
        assert {s["attributes"]["celery.outcome"] for s in of_killed} == {"worker_lost", "success"}


def test_a_trace_that_began_elsewhere_goes_on_through_the_lane(
    worker, module_redis, catalogue, collector
):
    """A producer's own instrumentation puts `traceparent` into the headers; ours takes it up."""
    trace, parent = "ab" * 16, "cd" * 8
    with lane_client(module_redis.url, LANE, catalogue) as client:
        sent = client.send_with(
            "lane.add", {"headers": {"traceparent": f"00-{trace}-{parent}-01"}}, x=1, y=2
        )
        client.wait(sent)
        wait_for(lambda: len(_of_trace(collector, trace)) >= 3, "its spans")
        names = Counter(span["name"] for span in _of_trace(collector, trace))
        assert names == {f"wait {LANE}": 1, f"process {LANE}": 1, "run lane.add": 1}


def test_a_retry_is_in_the_trace_of_its_first_send_and_linked(
    worker, module_redis, catalogue, collector
):
    tracing = start_tracing(collector.url, "producer")
    with lane_client(module_redis.url, LANE, catalogue) as client:
        observe_publishing(client.app, Metrics(), tracing.tracer)
        sent = client.send("lane.retry", countdown=0.2)
        client.wait(sent)
        tracing.shutdown()
        wait_for(lambda: len(_attempts(collector, sent.id)) >= 2, "both attempts")
        first, second = sorted(
            _attempts(collector, sent.id), key=lambda span: int(span["startTimeUnixNano"])
        )
        assert first["traceId"] == second["traceId"]
        assert first["parentSpanId"] == second["parentSpanId"]
        assert [link["spanId"] for link in second["links"]] == [first["spanId"]]


def _of_trace(collector, trace):
    return [span for span in collector.spans() if span["traceId"] == trace]


def _attempts(collector, task_id):
    return [
        span
        for span in collector.named(f"process {LANE}")
        if span["attributes"]["messaging.message.id"] == task_id
    ]
