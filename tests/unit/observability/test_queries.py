"""The checker that tests of rules and dashboards lean on."""

import pytest

import queries

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "query",
    [
        'sum by (namespace, queue) (rate(laneway_attempts_total{outcome="retry", pod="a"}[5m]))',
        "histogram_quantile(0.9, sum by (queue, le) (rate(laneway_queue_wait_seconds_bucket[5m])))",
        "sum(rate(laneway_queue_wait_seconds_sum[$__rate_interval]))",
        'sum by (version) (laneway_build_info{celery="5.7"})',
        "topk(3, sum by (task) (laneway_running)) > 1",
        "1 - queue:laneway_utilisation:ratio5m",
        "time() - max by (queue) (laneway_last_success_timestamp_seconds)",
        "laneway_broker_memory_bytes / laneway_broker_memory_limit_bytes",
        'laneway_attempts_total{queue=~"$queue", outcome=~"$outcome"}',
        "laneway_consuming * on (pod) group_left () laneway_broker_up",
    ],
)
def test_a_query_of_what_there_is_has_no_problem(query: str) -> None:
    assert queries.problems(query) == []


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("laneway_attempt_total", "no series is called laneway_attempt_total"),
        ("laneway_queue_wait_seconds", "no series is called laneway_queue_wait_seconds"),
        ('laneway_slots{task="a"}', "laneway_slots has no label task"),
        ("sum by (task) (laneway_slots)", "sum has no label task"),
        ("max by (task) (sum by (queue) (laneway_running))", "max has no label task"),
        ('laneway_attempts_total{outcome="retried"}', "outcome is never retried"),
        ('laneway_attempts_total{outcome!~"retry|lost"}', "outcome is never lost"),
        (
            "sum by (queue) (laneway_slots) / sum by (task) (laneway_running)",
            "/: (queue) never match (task)",
        ),
        (
            "sum by (queue) (laneway_slots) > on (task) sum by (task) (laneway_running)",
            "left of > has no label task",
        ),
        (
            "histogram_quantile(0.9, sum by (queue) (rate(laneway_queue_wait_seconds_bucket[5m])))",
            "histogram_quantile has no label le",
        ),
        ("queue:laneway_depth:sum{pod='a'}", "queue:laneway_depth:sum has no label pod"),
        ("rate(laneway_slots{task='a'}[5m:1m])", "laneway_slots has no label task"),
        (
            "laneway_slots * on (pod) group_left (version) laneway_broker_up",
            "group_left has no label version",
        ),
    ],
)
def test_what_is_wrong_with_a_query_is_told(query: str, problem: str) -> None:
    assert queries.problems(query) == [problem]


def test_series_of_others_may_be_named_beside_ours() -> None:
    also = {"up": frozenset({"job", "pod"})}

    assert queries.problems("sum by (job) (up)", also) == []
    assert queries.problems("sum by (queue) (up)", also) == ["sum has no label queue"]


def test_labels_are_followed_to_the_result() -> None:
    query = "sum by (queue, task) (laneway_running) > on (queue) group_left () max by (queue) (laneway_slots)"

    assert queries.result_labels(query) == {"queue", "task"}
    assert queries.result_labels("absent(laneway_slots{queue='a'})") == {"queue"}
    assert queries.series_in(query) == {"laneway_running", "laneway_slots"}
