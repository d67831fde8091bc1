import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
from opentelemetry import trace
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from laneway.observability.attempts import Attempts, AttemptStart
from laneway.observability.headers import (
    ENQUEUED_AT,
    FIRST_ENQUEUED_AT,
    ORIGIN,
    PERIODIC,
    PREVIOUS,
    TRACEPARENT,
    read_time_s,
)
from laneway.observability.metrics import Metrics, metrics_payload
from laneway.observability.outcomes import Outcome
from laneway.observability.publishing import Publish, publish_span
from laneway.observability.runs import STEPS_SEEN, add_state_event, run_span
from laneway.observability.tracing import start_tracing

pytestmark = pytest.mark.unit

TASK = "documents.process"
OFF = """
import sys
from laneway.observability.attempts import Attempts, AttemptStart
from laneway.observability.metrics import Metrics
from laneway.observability.outcomes import Outcome
from laneway.observability.publishing import Publish, publish_span
from laneway.observability.runs import run_span
from laneway.observability.tracing import start_tracing
import logging
tracing = start_tracing(None, "laneway-worker")
metrics = Metrics()
with publish_span(Publish("1", "t", "q"), metrics, tracing.tracer) as headers:
    pass
attempts = Attempts(metrics, tracing.tracer, logging.getLogger())
attempt = attempts.start(AttemptStart("1", "t", "q", 1.0, headers=headers))
run_span(tracing.child().tracer, "t", "1", attempt.headers).end()
attempt.finish(Outcome.SUCCESS)
tracing.shutdown()
loaded = [name for name in sys.modules if name.startswith(("opentelemetry", "celery"))]
assert not loaded, loaded
"""


@pytest.fixture
def metrics():
    return Metrics(tasks=[TASK])


@pytest.fixture
def trace_to(metrics):
    """Start tracing to a URL."""
    started = []

    def trace_to(url):
        tracing = start_tracing(url, "laneway-worker", {"k8s.pod.name": "p"}, metrics.span_dropped)
        started.append(tracing)
        return tracing

    yield trace_to
    for tracing in started:
        tracing.shutdown(0.1)


@pytest.fixture
def tracing(trace_to, collector):
    return trace_to(collector.url)


@pytest.fixture
def attempts(metrics, tracing, lines):
    return Attempts(metrics, tracing.tracer, lines)


def begin(attempts, headers, **known):
    now_s = time.time()
    start = AttemptStart(
        "id-1",
        TASK,
        "documents",
        received_at_s=now_s,
        headers=headers,
        enqueued_at_s=read_time_s(headers, ENQUEUED_AT),
        first_enqueued_at_s=read_time_s(headers, FIRST_ENQUEUED_AT),
        **known,
    )
    return attempts.start(start)


def publish(metrics, tracing, **known):
    with publish_span(Publish("id-1", TASK, "documents", **known), metrics, tracing.tracer) as sent:
        return sent


def dropped(metrics, reason):
    labels = {"signal": "traces", "reason": reason}
    return metrics.registry.get_sample_value("laneway_telemetry_dropped_total", labels) or 0


def test_without_an_endpoint_no_tracing_code_is_loaded():
    subprocess.run([sys.executable, "-c", OFF], check=True, timeout=60, capture_output=True)


def test_send_wait_process_and_run_are_one_trace(metrics, tracing, attempts, collector, attributes):
    sent = publish(metrics, tracing)
    attempt = begin(attempts, sent, pool="prefork", hard_limit_s=600)
    attempt.accepted(41)
    run = run_span(tracing.tracer, TASK, "id-1", attempt.headers)
    add_state_event("PROCESSING", {"step": "chunking", "file": "/secret/path"})
    run.end()
    attempt.finish(Outcome.SUCCESS)

    spans = collector.spans(5)

    send, wait = spans["send documents"], spans["wait documents"]
    process, run = spans["process documents"], spans[f"run {TASK}"]
    assert collector.paths == {"/v1/traces"}
    assert {span.trace_id for span in spans.values()} == {send.trace_id}
    assert send.parent_span_id == b""
    assert wait.parent_span_id == process.parent_span_id == send.span_id
    assert run.parent_span_id == process.span_id
    assert (send.kind, process.kind) == (Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER)
    assert wait.end_time_unix_nano == process.start_time_unix_nano
    said = attributes(process)
    assert said["celery.outcome"] == "success"
    assert said["messaging.destination.name"] == "documents"
    assert said["process.pid"] == 41
    assert said["celery.time_limit_s"] == 600
    assert process.status.code == Status.STATUS_CODE_UNSET
    assert spans["chunking"].parent_span_id == run.span_id
    (state,) = run.events
    assert attributes(state) == {
        "celery.state": "PROCESSING",
        "celery.state.keys": "file,step",
    }


def test_retries_hang_side_by_side_and_link_back(metrics, tracing, attempts, collector):
    sent = publish(metrics, tracing)
    first = begin(attempts, sent)
    run = run_span(tracing.tracer, TASK, "id-1", first.headers)
    resent = publish(metrics, tracing, retry_of={**sent, **first.headers})
    run.end()
    first.finish(Outcome.RETRY, ConnectionError(), retry_delay_s=1)
    second = begin(attempts, resent, attempt=2)
    run = run_span(tracing.tracer, TASK, "id-1", second.headers)
    third_message = publish(metrics, tracing, retry_of={**resent, **second.headers})
    run.end()

    assert resent[TRACEPARENT] == sent[TRACEPARENT] == third_message[TRACEPARENT]
    assert resent[PREVIOUS] == first.headers[TRACEPARENT]
    assert third_message[PREVIOUS] == second.headers[TRACEPARENT]
    assert resent[FIRST_ENQUEUED_AT] == third_message[FIRST_ENQUEUED_AT] == sent[FIRST_ENQUEUED_AT]
    assert float(resent[ENQUEUED_AT]) > float(sent[ENQUEUED_AT])

    second.finish(Outcome.SUCCESS)
    collector.spans(9)
    processed = [span for span in collector._spans if span.name == "process documents"]
    one, two = sorted(processed, key=lambda span: span.start_time_unix_nano)
    assert one.parent_span_id == two.parent_span_id
    (link,) = two.links
    assert link.span_id == one.span_id
    assert one.status.code == Status.STATUS_CODE_ERROR
    assert [event.name for event in one.events] == ["retry.scheduled"]


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.HARD_TIMEOUT, Status.STATUS_CODE_ERROR),
        (Outcome.WORKER_LOST, Status.STATUS_CODE_ERROR),
        (Outcome.REJECTED, Status.STATUS_CODE_ERROR),
        (Outcome.RETRY, Status.STATUS_CODE_UNSET),
        (Outcome.REVOKED, Status.STATUS_CODE_UNSET),
        (Outcome.EXPIRED, Status.STATUS_CODE_UNSET),
    ],
)
def test_the_status_of_a_span_follows_the_outcome(attempts, collector, attributes, outcome, code):
    begin(attempts, {}).finish(outcome)
    span = collector.spans(1)["process documents"]
    assert span.status.code == code
    assert attributes(span)["celery.outcome"] == outcome.value


def test_a_stock_producers_trace_goes_on(attempts, collector):
    begin(attempts, {TRACEPARENT: f"00-{'a' * 32}-{'b' * 16}-01"}).finish(Outcome.SUCCESS)
    span = collector.spans(1)["process documents"]
    assert span.trace_id.hex() == "a" * 32
    assert span.parent_span_id.hex() == "b" * 16


@pytest.mark.parametrize("headers", [{}, {TRACEPARENT: "nonsense", PREVIOUS: "more"}])
def test_a_message_without_context_begins_a_trace(attempts, collector, headers):
    attempt = begin(attempts, headers)
    attempt.finish(Outcome.SUCCESS)
    span = collector.spans(1)["process documents"]
    assert span.parent_span_id == b""
    assert not span.links
    assert attempt.headers[ORIGIN].split("-")[1] == span.trace_id.hex()


def test_the_log_line_and_the_exemplar_lead_to_the_span(metrics, attempts, collector, lines):
    begin(attempts, {}).finish(Outcome.SUCCESS)
    span = collector.spans(1)["process documents"]
    assert lines.written[0]["trace_id"] == span.trace_id.hex()
    assert lines.written[0]["span_id"] == span.span_id.hex()
    text = metrics_payload(metrics.registry, "application/openmetrics-text")[0].decode()
    assert f'trace_id="{span.trace_id.hex()}"' in text


def test_a_failed_publish_leaks_no_context(metrics, tracing, collector, attributes):
    with (
        pytest.raises(ConnectionError),
        publish_span(Publish("id-1", TASK, "documents"), metrics, tracing.tracer),
    ):
        raise ConnectionError("canary")
    assert not trace.get_current_span().get_span_context().is_valid
    span = collector.spans(1)["send documents"]
    assert attributes(span)["error.type"] == "ConnectionError"
    assert b"canary" not in span.SerializeToString()
    labels = {"queue": "documents", "task": TASK, "kind": "first", "delay": "now"}
    refused = {**labels, "result": "error"}
    assert metrics.registry.get_sample_value("laneway_published_total", refused) == 1


def test_an_error_in_a_run_is_told_without_its_message(tracing, collector, attributes):
    run = run_span(tracing.tracer, TASK, "id-1", {})
    try:
        int("canary")
    except ValueError as error:
        run.end(error)
    run.end()
    assert not trace.get_current_span().get_span_context().is_valid
    span = collector.spans(1)[f"run {TASK}"]
    assert span.status.code == Status.STATUS_CODE_ERROR
    (event,) = span.events
    assert "test_tracing.py" in attributes(event)["exception.stacktrace"]
    assert b"canary" not in span.SerializeToString()


def test_the_steps_of_a_task_are_spans_with_their_sizes(tracing, collector, attributes):
    run = run_span(tracing.tracer, TASK, "id-1", {})
    for meta in [
        {"step": "extracting", "file": "/secret"},
        {"step": "chunking", "text_length": 900, "ok": True},
        {"step": "embedding", "text_length": 900, "done": 0},
        {"step": "embedding", "text_length": 900, "done": 5},
        {"rows": 3},
    ]:
        add_state_event("PROCESSING", meta)
    run.end(ValueError("canary"))
    spans = collector.spans(4)
    steps = [spans[name] for name in ("extracting", "chunking", "embedding")]
    assert {step.parent_span_id for step in steps} == {spans[f"run {TASK}"].span_id}
    assert [attributes(step).get("celery.step.text_length") for step in steps] == [900, 900, 900]
    assert attributes(steps[-1])["celery.step.done"] == 5
    assert [step.status.code == Status.STATUS_CODE_ERROR for step in steps] == [False, False, True]
    assert steps[0].end_time_unix_nano <= steps[1].start_time_unix_nano
    assert not any(b"secret" in step.SerializeToString() for step in steps)


def test_a_task_of_a_million_steps_has_spans_for_the_first_ones(tracing, collector):
    run = run_span(tracing.tracer, TASK, "id-1", {})
    for number in range(STEPS_SEEN + 50):
        add_state_event("PROCESSING", {"step": f"row {number}"})
    run.end()
    assert len(collector.spans(STEPS_SEEN + 1)) == STEPS_SEEN + 1


def test_a_state_outside_a_run_is_no_fault():
    add_state_event("PROCESSING", {"step": "chunking"})


@pytest.mark.parametrize(
    ("headers", "waited_s", "apart"),
    [({}, 5, False), ({}, 601, True), ({PERIODIC: "hourly"}, 5, True)],
)
def test_what_waited_long_or_is_periodic_has_a_trace_of_its_own_with_a_link(
    attempts, collector, attributes, headers, waited_s, apart
):
    sent = {TRACEPARENT: f"00-{'a' * 32}-{'b' * 16}-01", **headers}
    enqueued_s = time.time() - waited_s
    start = AttemptStart(
        "id-1", TASK, "documents", time.time(), headers=sent, enqueued_at_s=enqueued_s
    )
    attempt = attempts.start(start)
    attempt.finish(Outcome.SUCCESS)
    span = next(s for s in collector.spans(2).values() if s.name == "process documents")
    assert (span.trace_id.hex() != "a" * 32) == apart
    linked = [(link.span_id.hex(), attributes(link)["celery.link"]) for link in span.links]
    assert linked == ([("b" * 16, "sent_by")] if apart else [])
    # Its retries are found beside it, in its own trace.
    assert span.trace_id.hex() in attempt.headers[ORIGIN]


@pytest.mark.parametrize(("flags", "sent"), [("01", 1), ("00", 0), (None, 0)])
def test_a_share_of_traces_is_kept_and_one_from_elsewhere_as_it_began(collector, flags, sent):
    tracing = start_tracing(collector.url, "laneway-worker", share=0.0)
    attempts = Attempts(Metrics(tasks=[TASK]), tracing.tracer, logging.getLogger())
    headers = {} if flags is None else {TRACEPARENT: f"00-{'a' * 32}-{'b' * 16}-{flags}"}
    start = AttemptStart("id-1", TASK, "documents", time.time(), headers=headers)
    attempt = attempts.start(start)
    attempt.accepted(41)
    assert attempt.finish(Outcome.SUCCESS)
    tracing.shutdown()
    assert len(collector.received()) == sent


def test_user_spans_hang_under_the_run(tracing, collector):
    run = run_span(tracing.tracer, TASK, "id-1", {})
    tracing.tracer.start("mine", "internal", {}).end()
    run.end()
    spans = collector.spans(2)
    assert spans["mine"].parent_span_id == spans[f"run {TASK}"].span_id


def test_a_retry_without_tracing_keeps_what_it_was_sent():
    sent = {TRACEPARENT: f"00-{'a' * 32}-{'b' * 16}-01", FIRST_ENQUEUED_AT: "17.000000"}
    with publish_span(Publish("id-1", TASK, "documents", retry_of=sent)) as headers:
        pass
    assert headers[TRACEPARENT] == sent[TRACEPARENT]
    assert headers[FIRST_ENQUEUED_AT] == "17.000000"
    assert PREVIOUS not in headers


@pytest.mark.parametrize("told", ["", "soon", "nan", "inf", "-1", None, [], {}])
def test_a_time_that_is_none_is_not_read(told):
    assert read_time_s({ENQUEUED_AT: told}, ENQUEUED_AT) is None


def test_a_forked_child_sends_its_own_spans(tracing, attempts, collector):
    attempt = begin(attempts, {})
    child = os.fork()
    if child == 0:
        own = tracing.child()
        run_span(own.tracer, TASK, "id-1", attempt.headers).end()
        own.shutdown()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    attempt.finish(Outcome.SUCCESS)
    spans = collector.spans(2)
    assert spans[f"run {TASK}"].parent_span_id == spans["process documents"].span_id


def test_what_a_killed_child_did_before_is_kept_by_the_parent(tracing, attempts, collector):
    for _ in range(40):
        begin(attempts, {}).finish(Outcome.SUCCESS)
    lost = begin(attempts, {})
    child = os.fork()
    if child == 0:
        run_span(tracing.child().tracer, TASK, "id-1", lost.headers)
        os.kill(os.getpid(), 9)
    os.waitpid(child, 0)
    lost.finish(Outcome.WORKER_LOST)
    collector.spans(41)


def test_a_collector_that_is_not_there_costs_spans_and_no_time(metrics, trace_to, lines):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}"
    tracing = trace_to(gone)
    attempts = Attempts(metrics, tracing.tracer, lines)
    for _ in range(100):
        begin(attempts, {}).finish(Outcome.SUCCESS)
    tracing.shutdown(10)
    assert dropped(metrics, "export_failed") + dropped(metrics, "shutdown") == 100


def test_a_collector_that_never_answers_holds_up_neither_tasks_nor_the_end(
    metrics, trace_to, lines, monkeypatch
):
    monkeypatch.setattr("laneway.observability.export.QUEUE_SPANS", 600)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        tracing = trace_to(f"http://127.0.0.1:{mute.getsockname()[1]}")
        attempts = Attempts(metrics, tracing.tracer, lines)
        for _ in range(1_000):
            begin(attempts, {}).finish(Outcome.SUCCESS)
        assert dropped(metrics, "queue_full") >= 400
        ended = threading.Thread(target=tracing.shutdown, args=(0.2,), daemon=True)
        ended.start()
        # Far above what it is given, far below what the requests would take one by one.
        ended.join(4)
        assert not ended.is_alive()
    begin(attempts, {}).finish(Outcome.SUCCESS)
    assert dropped(metrics, "shutdown") >= 1
