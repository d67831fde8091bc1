import threading

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from laneway.observability.backlog import CachedBacklog, LaneBacklog
from laneway.observability.catalogue import BROKER_UP, QUEUE_DEPTH
from laneway.observability.labels import ERROR_TYPES_KEPT, OTHER, UNKNOWN
from laneway.observability.metrics import Metrics, metrics_payload
from laneway.observability.outcomes import Outcome

pytestmark = pytest.mark.unit


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def series_count(metrics):
    return sum(len(family.samples) for family in metrics.registry.collect())


def test_a_task_that_is_not_known_shares_one_series():
    metrics = Metrics(tasks=["documents.process"])
    for task in ("documents.process", "made.up", "made.up.too"):
        metrics.redelivered.inc(queue="documents", task=task)
    known = {"queue": "documents", "task": "documents.process"}
    assert value(metrics, "laneway_redelivered_total", **known) == 1
    assert value(metrics, "laneway_redelivered_total", queue="documents", task=UNKNOWN) == 2


def test_error_types_beyond_the_cap_share_one_series():
    metrics = Metrics(tasks=["a.b"])
    labels = {"queue": "q", "task": "a.b", "final": "true"}
    for number in range(ERROR_TYPES_KEPT + 7):
        metrics.errors.inc(error_type=f"Error{number}", **labels)
    assert value(metrics, "laneway_errors_total", error_type=OTHER, **labels) == 7
    metrics.errors.inc(error_type="Error0", **labels)
    assert value(metrics, "laneway_errors_total", error_type="Error0", **labels) == 2


def test_wrong_labels_are_refused_with_the_right_ones():
    with pytest.raises(TypeError, match="takes the labels queue, task, not queue"):
        Metrics().redelivered.inc(queue="documents")


def test_precreated_outcomes_start_at_zero():
    metrics = Metrics()
    metrics.precreate("documents", ["documents.process"])
    for outcome in Outcome:
        labels = {"queue": "documents", "task": "documents.process", "outcome": outcome.value}
        assert value(metrics, "laneway_attempts_total", **labels) == 0


def test_a_worker_with_a_hundred_tasks_starts_within_the_series_budget():
    metrics = Metrics()
    metrics.precreate("documents", [f"team.task_{number}" for number in range(100)])
    assert series_count(metrics) <= 3_000


def test_the_global_registry_stays_out_of_it():
    Metrics().redelivered.inc(queue="q", task="t")
    assert not [family for family in REGISTRY.collect() if family.name.startswith("laneway")]


def test_openmetrics_carries_exemplars_and_no_created_series():
    metrics = Metrics(tasks=["a.b"])
    exemplar = {"trace_id": "1" * 32, "span_id": "2" * 16}
    metrics.attempts.inc(exemplar=exemplar, queue="q", task="a.b", outcome="success")
    metrics.attempt_duration.observe(0.3, exemplar=exemplar, queue="q", task="a.b", class_="ok")

    body, content_type = metrics_payload(
        metrics.registry, "application/openmetrics-text;version=1.0.0"
    )

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    (count,) = families["laneway_attempts"].samples
    assert count.exemplar.labels == exemplar
    buckets = families["laneway_attempt_duration_seconds"].samples
    assert [sample.labels["le"] for sample in buckets if sample.exemplar] == ["0.5"]
    assert b"_created" not in body


@pytest.mark.parametrize("accept", [None, "", "*/*", "text/plain;version=odd"])
def test_plain_text_is_the_default(accept):
    body, content_type = metrics_payload(Metrics().registry, accept)
    assert content_type.startswith("text/plain")
    assert b"# EOF" not in body


def test_slots_are_read_at_each_scrape():
    metrics = Metrics()
    slots = {"documents": {"busy": 1, "idle": 3}}
    metrics.watch_slots(lambda: slots)
    assert value(metrics, "laneway_slots", queue="documents", state="busy") == 1
    slots["documents"]["busy"] = 4
    assert value(metrics, "laneway_slots", queue="documents", state="busy") == 4


def test_a_reader_that_fails_costs_its_own_readings_alone():
    metrics = Metrics(tasks=["a.b"])
    metrics.watch_slots(lambda: 1 / 0)
    metrics.redelivered.inc(queue="q", task="a.b")
    assert b"laneway_redelivered_total" in metrics_payload(metrics.registry, None)[0]
    dropped = {"signal": "metrics", "reason": "read_failed"}
    assert value(metrics, "laneway_telemetry_dropped_total", **dropped) >= 1


def test_the_backlog_is_served_per_lane():
    metrics = Metrics()
    metrics.watch_backlog(lambda: {"documents": LaneBacklog(depth=7, unacked=2, dead_letters=1)})
    assert value(metrics, "laneway_queue_depth", queue="documents") == 7
    assert value(metrics, "laneway_queue_unacked", queue="documents") == 2
    assert value(metrics, "laneway_dead_letters", queue="documents") == 1
    assert value(metrics, "laneway_broker_up") == 1


def test_a_fresh_answer_is_not_asked_for_again(hands):
    asked = []

    def read():
        asked.append(1)
        return {}

    backlog = CachedBacklog(read, fresh_s=5, monotonic_s=hands.clock.steady_s)
    list(backlog.readings())
    list(backlog.readings())
    assert len(asked) == 1
    hands.now_s += 6
    list(backlog.readings())
    assert len(asked) == 2


def test_a_broker_that_hangs_leaves_the_last_answer_and_is_reported_down(hands):
    hang, release = threading.Event(), threading.Event()

    def read():
        if hang.is_set():
            release.wait(30)
        return {"documents": LaneBacklog(7, 0, 0)}

    backlog = CachedBacklog(read, wait_s=0.05, keep_s=60, monotonic_s=hands.clock.steady_s)
    assert value_of(backlog, BROKER_UP) == 1
    hang.set()
    hands.now_s += 30
    assert value_of(backlog, BROKER_UP) == 0
    assert value_of(backlog, QUEUE_DEPTH) == 7
    hands.now_s += 60
    assert value_of(backlog, QUEUE_DEPTH) is None
    release.set()


def test_a_broker_that_refuses_is_reported_down():
    def read():
        raise ConnectionError

    assert value_of(CachedBacklog(read), BROKER_UP) == 0


def value_of(backlog, metric):
    readings = {reading.metric.name: reading.value for reading in backlog.readings()}
    return readings.get(metric.name)
