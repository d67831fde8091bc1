import os
import subprocess
import sys
import threading

import pytest
from prometheus_client import REGISTRY
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from laneway.observability.attempts import Attempts, AttemptStart
from laneway.observability.backlog import BrokerBacklog, CachedBacklog, LaneBacklog
from laneway.observability.catalogue import BROKER_UP, CATALOGUE, QUEUE_DEPTH
from laneway.observability.child_metrics import ChildMetrics
from laneway.observability.headers import PERIODIC
from laneway.observability.labels import ERROR_TYPES_KEPT, OTHER, UNKNOWN
from laneway.observability.metrics import COUNTED_FROM_0, Metrics, metrics_payload
from laneway.observability.objectives import Objectives
from laneway.observability.outcomes import Outcome
from laneway.observability.pool import PoolState, ProcessTimes, cpu_s
from worker_harness import wait_for

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


def test_the_outcomes_that_alerts_count_start_at_zero():
    metrics = Metrics()
    metrics.precreate("documents", ["documents.process"])
    for outcome in COUNTED_FROM_0:
        labels = {"queue": "documents", "task": "documents.process", "outcome": outcome.value}
        assert value(metrics, "laneway_attempts_total", **labels) == 0


def test_a_hundred_tasks_with_every_outcome_stay_within_the_series_budget(lines):
    metrics, tasks = Metrics(), [f"team.task_{number}" for number in range(100)]
    metrics.precreate("documents", tasks)
    attempts = Attempts(metrics, None, lines)
    for task in tasks:
        for outcome in Outcome:
            start = AttemptStart(
                "id", task, "documents", 1.0, redelivered=True, headers={PERIODIC: "x"}
            )
            attempt = attempts.start(start)
            attempt.accepted(41)
            attempt.soft_timeout()
            error = type(f"Odd{task[10:]}", (Exception,), {})()
            attempt.finish(outcome, error, retry_delay_s=1.0)
    assert series_count(metrics) <= 3_000
    labels = {"queue": "documents", "task": OTHER, "class": "ok"}
    assert value(metrics, "laneway_attempt_duration_seconds_count", **labels) > 0
    counted = metrics.registry.collect()
    total = sum(s.value for f in counted for s in f.samples if s.name == "laneway_attempts_total")
    assert total == 100 * len(Outcome)


def test_bounded_metrics_alone_keep_the_budget():
    assert sum(metric.most_series for metric in CATALOGUE) <= 2_700


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
    slots = {"busy": 1, "idle": 3}
    metrics.watch_pool(lambda: PoolState("documents", slots).readings())
    assert value(metrics, "laneway_slots", queue="documents", state="busy") == 1
    slots["busy"] = 4
    assert value(metrics, "laneway_slots", queue="documents", state="busy") == 4


def test_a_reader_that_fails_costs_its_own_readings_alone():
    metrics = Metrics(tasks=["a.b"])
    metrics.watch_pool(lambda: 1 / 0)
    metrics.redelivered.inc(queue="q", task="a.b")
    assert b"laneway_redelivered_total" in metrics_payload(metrics.registry, None)[0]
    dropped = {"signal": "metrics", "reason": "read_failed"}
    assert value(metrics, "laneway_telemetry_dropped_total", **dropped) >= 1


def test_the_backlog_is_served_per_lane():
    metrics = Metrics()
    lane = LaneBacklog(depth={"0": 7, "3": 1}, unacked=2, dead_letters=1, workers=3)
    metrics.watch_backlog(lambda: BrokerBacklog({"documents": lane}, 1_000, 4_000))
    assert value(metrics, "laneway_queue_depth", queue="documents", priority="0") == 7
    assert value(metrics, "laneway_queue_depth", queue="documents", priority="3") == 1
    assert value(metrics, "laneway_queue_workers", queue="documents") == 3
    assert value(metrics, "laneway_broker_memory_bytes") == 1_000
    assert value(metrics, "laneway_broker_memory_limit_bytes") == 4_000
    assert value(metrics, "laneway_probe_success_timestamp_seconds") > 1_700_000_000
    assert value(metrics, "laneway_probe_duration_seconds_count") == 1
    assert value(metrics, "laneway_queue_unacked", queue="documents") == 2
    assert value(metrics, "laneway_dead_letters", queue="documents") == 1
    assert value(metrics, "laneway_broker_up") == 1


def test_a_fresh_answer_is_not_asked_for_again(hands):
    asked = []

    def read():
        asked.append(1)
        return BrokerBacklog({})

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
        return BrokerBacklog({"documents": LaneBacklog({"0": 7}, 0, 0)})

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


def test_processes_are_measured_and_their_time_never_goes_back():
    times, metrics = ProcessTimes(), Metrics()
    busy = "sum(range(3_000_000)); input()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE) as child:
        pids = (child.pid,)
        metrics.watch_pool(
            lambda: PoolState("q", {}, reserved=2, pids=pids, used_s=times.used_s(pids)).readings()
        )
        largest = {"queue": "q", "agg": "max"}
        wait_for(
            lambda: value(metrics, "laneway_child_rss_bytes", **largest) > 1_000_000, "a start"
        )
        wait_for(lambda: cpu_s(child.pid) > 0, "work")
        assert value(metrics, "laneway_reserved", queue="q") == 2
        used_s = value(metrics, "laneway_child_cpu_seconds_total", queue="q")
        child.communicate(b"\n")
    assert value(metrics, "laneway_child_cpu_seconds_total", queue="q") >= used_s
    assert value(metrics, "laneway_child_rss_bytes", queue="q", agg="sum") == 0


def test_threads_are_measured_as_the_process_that_they_run_in():
    times = ProcessTimes()
    readings = {r.labels: r for r in PoolState("q", {}, used_s=times.used_s(())).readings()}
    assert readings["q", "max"].value == readings["q", "sum"].value > 1_000_000
    assert times.used_s(()) >= os.times().user / 2


def test_what_a_pool_process_counts_is_counted_in_the_worker():
    metrics, told = Metrics(tasks=["a.b"]), ChildMetrics()
    told.serve(metrics)
    child = os.fork()
    if not child:
        for _ in range(50):
            told.published.inc(queue="q", task="a.b", kind="retry", delay="later", result="ok")
        told.publish_duration.observe(0.5, queue="q", result="ok")
        told.span_dropped("queue_full", 3)
        os._exit(0)
    os.waitpid(child, 0)
    dropped = {"signal": "traces", "reason": "queue_full"}
    wait_for(lambda: value(metrics, "laneway_telemetry_dropped_total", **dropped) == 3, "the last")
    kind = {"kind": "retry", "delay": "later", "result": "ok"}
    assert value(metrics, "laneway_published_total", queue="q", task="a.b", **kind) == 50
    assert value(metrics, "laneway_publish_duration_seconds_sum", queue="q", result="ok") == 0.5
    told.close()


def test_a_pool_process_never_waits_to_be_heard_and_says_what_was_lost():
    told, metrics = ChildMetrics(), Metrics()
    for _ in range(20_000):
        told.published_bytes.observe(100, queue="q")
    told.serve(metrics)
    lost = {"signal": "metrics", "reason": "child_channel_full"}

    def all_told():
        told.published_bytes.observe(100, queue="q")
        heard = value(metrics, "laneway_published_bytes_count", queue="q") or 0
        return heard + (value(metrics, "laneway_telemetry_dropped_total", **lost) or 0) > 20_000

    wait_for(all_told, "word of what was lost")
    assert value(metrics, "laneway_telemetry_dropped_total", **lost) > 0
    told.close()


def test_garbage_from_a_pool_process_ends_nothing():
    told, metrics = ChildMetrics(), Metrics()
    told.serve(metrics)
    for garbage in (b"no json", b"[1]", b'["laneway_attempts_total", 1, {}, null, 0]'):
        told._writing.send(garbage)
    told.published_bytes.observe(100, queue="q")
    wait_for(lambda: value(metrics, "laneway_published_bytes_count", queue="q") == 1, "the rest")
    garbled = {"signal": "metrics", "reason": "garbled"}
    assert value(metrics, "laneway_telemetry_dropped_total", **garbled) == 3
    told.close()


def test_metrics_that_are_off_count_nothing_and_still_say_what_runs(lines):
    metrics = Metrics(tasks=["a.b"], enabled=False)
    metrics.precreate("q", ["a.b"])
    metrics.watch_pool(lambda: PoolState("q", {"busy": 1}).readings())
    metrics.build_info(version="1")
    promised = Objectives("q", start_s=1, finish_s=1, share=0.9)
    attempt = Attempts(metrics, None, lines, promised).start(AttemptStart("id", "a.b", "q", 1.0))
    attempt.accepted(41)
    assert attempt.finish(Outcome.SUCCESS)
    served = metrics_payload(metrics.registry, None)[0].decode()
    names = {line.split("{")[0].split()[0] for line in served.splitlines() if line[0] != "#"}
    assert names == {"laneway_build_info", "laneway_config_info"}
