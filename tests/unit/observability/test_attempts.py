import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from laneway.observability.attempts import Attempts, AttemptStart
from laneway.observability.headers import FIRST_ENQUEUED_AT, PERIODIC
from laneway.observability.labels import UNKNOWN
from laneway.observability.metrics import Metrics
from laneway.observability.objectives import Objectives
from laneway.observability.outcomes import Outcome

pytestmark = pytest.mark.unit

TASK = "documents.process"
LABELS = {"queue": "documents", "task": TASK}


@pytest.fixture
def metrics():
    return Metrics(tasks=[TASK])


@pytest.fixture
def attempts(metrics, lines, hands):
    promised = Objectives("documents", start_s=5, finish_s=60, share=0.99)
    return Attempts(metrics, None, lines, promised, hands.clock)


@pytest.fixture
def begin(attempts, hands):
    def begin(**known):
        known.setdefault("received_at_s", hands.now_s)
        return attempts.start(AttemptStart("id-1", TASK, "documents", **known))

    return begin


@pytest.fixture
def value(metrics):
    def value(name, **labels):
        return metrics.registry.get_sample_value(f"laneway_{name}", labels)

    return value


@pytest.mark.parametrize("outcome", list(Outcome))
def test_every_outcome_is_counted_and_logged_once(begin, value, lines, outcome):
    attempt = begin()
    attempt.accepted(41)
    assert attempt.finish(outcome)
    assert not attempt.finish(Outcome.FAILURE, ValueError("late"))
    assert value("attempts_total", outcome=outcome.value, **LABELS) == 1
    (line,) = lines.written
    assert line["event"] == "attempt"
    assert line["outcome"] == outcome.value
    assert (
        value("attempt_duration_seconds_count", **LABELS, **{"class": outcome.outcome_class}) == 1
    )


def test_the_first_of_many_threads_wins(begin, value, lines):
    attempt = begin()
    gate = threading.Barrier(16)

    def end(number):
        gate.wait()
        return attempt.finish(list(Outcome)[number % 14])

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(end, range(16))) == 1
    assert len(lines.written) == 1
    counts = [value("attempts_total", outcome=outcome.value, **LABELS) for outcome in Outcome]
    assert sum(filter(None, counts)) == 1


def test_the_line_says_all_but_the_message(begin, lines, hands):
    attempt = begin(enqueued_at_s=hands.now_s - 4, root_id="root-1", attempt=2, redelivered=True)
    attempt.accepted(41)
    hands.now_s += 2.5
    try:
        int("canary-in-message")
    except ValueError as error:
        attempt.finish(Outcome.FAILURE, error)
    (line,) = lines.written
    place = line.pop("where")
    assert line == {
        "event": "attempt",
        "level": "error",
        "task_id": "id-1",
        "root_id": "root-1",
        "task": TASK,
        "queue": "documents",
        "attempt": 2,
        "outcome": "failure",
        "duration_s": 2.5,
        "wait_s": 4.0,
        "error_type": "ValueError",
        "pid": 41,
        "redelivered": True,
        "trace_id": None,
        "span_id": None,
    }
    assert place.startswith("observability/test_attempts.py:")


def test_a_place_told_by_the_child_is_kept(begin, lines):
    begin().finish(Outcome.FAILURE, ValueError("x"), where="documents/tasks.py:7")
    assert lines.written[0]["where"] == "documents/tasks.py:7"


def test_wait_counts_from_the_eta_if_that_is_later(begin, value, hands):
    begin(enqueued_at_s=hands.now_s - 100, eta_s=hands.now_s - 3).finish(Outcome.SUCCESS)
    assert value("queue_wait_seconds_sum", queue="documents", kind="first") == 3


@pytest.mark.parametrize(
    ("known", "kind"),
    [
        ({"enqueued_at_s": 1.0}, "first"),
        ({"enqueued_at_s": 1.0, "attempt": 3}, "retry"),
        ({"enqueued_at_s": 1.0, "redelivered": True}, "redelivered"),
        ({}, "claimed"),
    ],
)
def test_the_kind_of_a_wait_is_told(begin, value, known, kind):
    begin(**known).finish(Outcome.SUCCESS)
    assert value("queue_wait_seconds_count", queue="documents", kind=kind) == 1


def test_clocks_that_disagree_give_no_negative_wait(begin, value, hands):
    begin(enqueued_at_s=hands.now_s + 5).finish(Outcome.SUCCESS)
    assert value("queue_wait_seconds_sum", queue="documents", kind="first") == 0


def test_what_was_revoked_before_it_ran_has_neither_waited_nor_run(begin, value):
    begin(enqueued_at_s=1.0).finish(Outcome.REVOKED)
    assert value("attempts_total", outcome="revoked", **LABELS) == 1
    assert value("queue_wait_seconds_count", queue="documents", kind="first") is None
    assert value("attempt_duration_seconds_count", **LABELS, **{"class": "dropped"}) is None


def test_end_to_end_time_spans_the_retries(begin, value, hands):
    first = begin(
        enqueued_at_s=hands.now_s - 50,
        first_enqueued_at_s=hands.now_s - 50,
        eta_s=hands.now_s - 10,
    )
    first.finish(Outcome.RETRY, ConnectionError(), retry_delay_s=20)
    assert value("task_end_to_end_seconds_count", **LABELS, **{"class": "retry"}) is None
    assert value("retry_delay_seconds_sum", **LABELS) == 20

    first_at_s = float(first.headers[FIRST_ENQUEUED_AT])
    second = begin(
        attempt=2,
        enqueued_at_s=hands.now_s,
        first_enqueued_at_s=first_at_s,
        eta_s=hands.now_s + 20,
    )
    hands.now_s += 25
    second.finish(Outcome.SUCCESS)
    assert value("task_end_to_end_seconds_sum", **LABELS, **{"class": "ok"}) == 35


def test_an_error_is_final_when_the_caller_says_so(begin, value):
    begin().finish(Outcome.WORKER_LOST)
    begin().finish(Outcome.WORKER_LOST, final=True)
    labels = {"error_type": "worker_lost", **LABELS}
    assert value("errors_total", final="false", **labels) == 1
    assert value("errors_total", final="true", **labels) == 1


def test_a_planned_retry_is_no_error_and_a_caused_one_is(begin, value):
    begin().finish(Outcome.RETRY)
    begin().finish(Outcome.RETRY, TimeoutError())
    labels = {"error_type": "TimeoutError", "final": "false", **LABELS}
    assert value("errors_total", **labels) == 1


def test_a_soft_limit_is_handled_if_the_task_still_succeeds(begin, value):
    for outcome in (Outcome.SUCCESS, Outcome.SOFT_TIMEOUT, Outcome.HARD_TIMEOUT):
        attempt = begin()
        attempt.soft_timeout()
        attempt.finish(outcome)
    assert value("soft_timeouts_total", handled="true", **LABELS) == 1
    assert value("soft_timeouts_total", handled="false", **LABELS) == 2


def test_a_redelivery_counts_when_it_arrives(begin, value):
    begin(redelivered=True)
    assert value("redelivered_total", **LABELS) == 1


def test_running_attempts_and_busy_slots_show_at_the_scrape(begin, value, hands):
    attempt = begin()
    attempt.accepted(41)
    hands.now_s += 5
    assert value("running", **LABELS) == 1
    assert value("running_oldest_seconds", queue="documents") == 5
    assert value("slot_busy_seconds_total", queue="documents") == 5
    hands.now_s += 1
    attempt.finish(Outcome.SUCCESS)
    hands.now_s += 10
    assert value("running", **LABELS) == 0
    assert value("running_oldest_seconds", queue="documents") == 0
    assert value("slot_busy_seconds_total", queue="documents") == 6


def test_a_message_that_never_became_an_attempt_is_counted(attempts, value, lines):
    attempts.count_without_request("documents", "no.such", Outcome.REJECTED)
    labels = {"queue": "documents", "task": UNKNOWN, "outcome": "rejected"}
    assert value("attempts_total", **labels) == 1
    assert lines.written[0]["outcome"] == "rejected"


def slo(value, name):
    counts = (
        value("slo_events_total", queue="documents", slo=name, result=r) for r in ("good", "bad")
    )
    return tuple(count or 0 for count in counts)


@pytest.mark.parametrize(("waited_s", "counted"), [(5, (1, 0)), (6, (0, 1))])
def test_a_first_start_is_held_against_the_lanes_target(begin, value, hands, waited_s, counted):
    attempt = begin(enqueued_at_s=hands.now_s - waited_s)
    attempt.accepted(41)
    attempt.finish(Outcome.SUCCESS)
    assert slo(value, "start") == counted


def test_a_retry_and_a_message_without_a_time_say_nothing_of_starts(begin, value, hands):
    for known in [{"attempt": 2, "enqueued_at_s": hands.now_s}, {"redelivered": True}, {}]:
        attempt = begin(**known)
        attempt.accepted(41)
        attempt.finish(Outcome.SUCCESS)
    assert slo(value, "start") == (0, 0)


@pytest.mark.parametrize(
    ("outcome", "finish", "success"),
    [
        (Outcome.SUCCESS, (0, 1), (1, 0)),
        (Outcome.FAILURE, (0, 0), (0, 1)),
        (Outcome.HARD_TIMEOUT, (0, 0), (0, 1)),
        (Outcome.RETRY, (0, 0), (0, 0)),
        (Outcome.REVOKED, (0, 0), (0, 0)),
    ],
)
def test_a_task_that_ended_is_held_against_what_the_lane_promises(
    begin, value, hands, outcome, finish, success
):
    attempt = begin(enqueued_at_s=hands.now_s)
    attempt.accepted(41)
    hands.now_s += 61
    attempt.finish(outcome)
    assert slo(value, "finish") == finish
    assert slo(value, "success") == success


def test_the_wait_in_the_worker_ends_when_a_slot_began(begin, value, hands):
    attempt = begin(received_at_s=hands.now_s - 2)
    began_s = hands.now_s + 3
    hands.now_s += 10
    attempt.accepted(41, began_s)
    attempt.finish(Outcome.SUCCESS)
    assert value("prefetch_wait_seconds_sum", queue="documents") == 5
    assert value("attempt_duration_seconds_sum", **LABELS, **{"class": "ok"}) == 7


def test_a_finished_task_tells_how_many_attempts_it_took(begin, value):
    begin(attempt=2).finish(Outcome.RETRY)
    begin(attempt=3).finish(Outcome.SUCCESS)
    assert value("task_attempts_sum", **LABELS, **{"class": "ok"}) == 3
    assert value("task_attempts_count", **LABELS, **{"class": "retry"}) is None


def test_a_periodic_task_tells_when_it_succeeded_last(begin, value, hands):
    begin().finish(Outcome.SUCCESS)
    assert value("last_success_timestamp_seconds", **LABELS) is None
    begin(headers={PERIODIC: "every hour"}).finish(Outcome.FAILURE)
    assert value("last_success_timestamp_seconds", **LABELS) is None
    begin(headers={PERIODIC: "every hour"}).finish(Outcome.SUCCESS)
    assert value("last_success_timestamp_seconds", **LABELS) == hands.now_s


def test_a_start_before_its_publishing_is_a_skewed_clock_and_an_eta_is_none(begin, value, hands):
    for known in [{"enqueued_at_s": hands.now_s + 2}, {"eta_s": hands.now_s + 2}]:
        attempt = begin(**known)
        attempt.accepted(41)
        attempt.finish(Outcome.SUCCESS)
    assert value("clock_skew_total", queue="documents") == 1
