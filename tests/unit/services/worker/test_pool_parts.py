"""Small parts of the pools: pace, words, exit reasons, and a task's callbacks."""

from collections import Counter

import pytest

from laneway.services.worker.pool.exits import exit_reason, tell_exit, watch_exits
from laneway.services.worker.pool.job import Job
from laneway.services.worker.pool.pace import AHEAD_S, MOST_AHEAD, Pace
from laneway.services.worker.pool.slots import (
    DONE,
    KEPT,
    REACHED,
    RECALLED,
    RUNNING,
    SOFT,
    Slot,
    consent_to_fences,
    fence,
)

pytestmark = pytest.mark.unit


def paced(name, spent_s, times=60):
    pace = Pace()
    for _ in range(times):
        pace.observe(name, spent_s)
    return pace


@pytest.mark.parametrize(
    ("spent_s", "each"), [(10, 1), (0.1, 1), (0.016, 1), (0.005, 3), (0.001, 17), (0.00001, 64)]
)
def test_short_tasks_are_held_ahead_and_long_ones_not(spent_s, each):
    assert paced("t", spent_s).capacity(3) == 3 * each


def test_a_pool_that_knows_nothing_is_given_a_task_each():
    assert Pace().capacity(4) == 4


def test_one_long_task_does_not_keep_short_ones_from_being_fed_ahead_for_long():
    pace = paced("short", 0.0001)
    pace.observe("long", 600)
    assert pace.capacity(1) < MOST_AHEAD
    for _ in range(20):
        pace.observe("short", 0.0001)
    assert pace.capacity(1) >= MOST_AHEAD


def test_what_has_never_run_is_expected_to_fill_the_time_ahead():
    pace = paced("known", 0.001)
    assert pace.expected_s("known") == pytest.approx(0.001)
    assert pace.expected_s("unknown") == AHEAD_S


def test_words_do_not_share_their_places():
    slot = Slot()
    for number, word in enumerate((REACHED, RUNNING, DONE, RECALLED, SOFT), start=1):
        slot.words[word] = number << 40
    slot.began[0], slot.began[KEPT - 1] = 1.5, 2.5
    assert [slot.words[w] >> 40 for w in (REACHED, RUNNING, DONE, RECALLED, SOFT)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert (slot.began[0], slot.began[KEPT - 1]) == (1.5, 2.5)


def test_a_fence_returns_with_or_without_the_kernels_help():
    fence(consented=False)
    fence(consented=consent_to_fences())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (0, "exit"),
        (155, "recycled"),
        (1, "error"),
        (-9, "sigkill"),
        (-11, "sigsegv"),
        (-15, "sigterm"),
        (-64, "signal64"),
        (None, "unknown"),
    ],
)
def test_an_exit_has_a_reason(code, reason):
    assert exit_reason(code) == reason


def test_the_last_who_asked_hears_of_exits():
    heard = Counter()
    watch_exits(lambda _: heard.update(["before"]))
    watch_exits(lambda reason: heard.update([reason]))
    tell_exit(-9)
    assert heard == {"sigkill": 1}


def test_a_callback_that_raises_does_not_reach_the_loop_unless_it_is_to():
    def refuse(*_):
        raise KeyError("no")

    job = Job(print, (), {}, {"callback": refuse}, on_terminate=None)
    job.succeed(None)
    job = Job(print, (), {}, {"callback": refuse, "callbacks_propagate": (KeyError,)}, None)
    with pytest.raises(KeyError):
        job.succeed(None)


def test_a_hard_limit_without_a_callback_of_its_own_is_an_error():
    told = []
    options = {"timeout": 2, "error_callback": lambda info: told.append(info.type.__name__)}
    Job(print, (), {}, options, None).reach_hard_limit()
    assert told == ["TimeLimitExceeded"]


def test_a_task_that_cannot_be_sent_fails_of_it():
    told = []
    options = {"error_callback": lambda info: told.append(info.type)}
    assert not Job(print, (lambda: None,), {}, options, None).encode()
    assert len(told) == 1
