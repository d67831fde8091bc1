"""Calls and answers survive the way to a child and back, or fail in a way that can be told."""

import pytest
from billiard.einfo import ExceptionInfo
from billiard.pool import MaybeEncodingError
from celery.app.trace import fast_trace_task, trace_task_ret

from laneway.services.worker.body import run_body
from laneway.services.worker.pool import calls

pytestmark = pytest.mark.unit

REQUEST = {"id": "1", "retries": 0, "timelimit": [None, 2.5], "headers": {"a": None}}


@pytest.mark.parametrize("target", [run_body, fast_trace_task, trace_task_ret])
def test_a_tracers_call_travels_without_pickle_and_without_its_arguments_twice(target):
    args = ("t", "1", {**REQUEST, "args": [1], "kwargs": {}}, b"[[1]]", "application/json", "utf-8")
    kind, payload = calls.encode_call(target, args, {})
    assert kind != calls.PICKLED
    decoded, arguments, kwargs = calls.decode_call(kind, payload)
    assert decoded is target
    assert arguments == ("t", "1", REQUEST, *args[3:])
    assert kwargs == {}


def test_what_marshal_does_not_know_is_pickled():
    request = {**REQUEST, "headers": {"when": pytest.approx}}
    args = ("t", "1", request, b"", "application/json", "utf-8")
    kind, payload = calls.encode_call(fast_trace_task, args, {})
    assert kind == calls.PICKLED
    target, arguments, _ = calls.decode_call(kind, payload)
    assert target is fast_trace_task
    assert arguments[2]["headers"]["when"] is pytest.approx


def test_any_function_can_be_called():
    kind, payload = calls.encode_call(divmod, [7], {"x": 1})
    assert calls.decode_call(kind, payload) == (divmod, (7,), {"x": 1})
    assert calls.call_name(divmod, ()) == "divmod"
    assert calls.call_name(fast_trace_task, ("task.name",)) == "task.name"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ((0, "text", 0.1), True),
        ((0, None, 0.1), True),
        ((1, "text", 0.1), False),
        ((0, 5, 0.1), False),
        ((0, "x" * (1 << 17), 0.1), False),
        ([0, "text", 0.1], False),
        (None, False),
    ],
)
def test_only_a_tracers_success_is_plain(value, plain):
    assert calls.is_plain(value) is plain


def test_answers_come_back_as_they_were():
    answers = [(1, "a", 0.1, 0.2), (2, None, 0.0, 1.0)]
    assert calls.decode_answers(calls.encode_answers(answers)) == answers


def test_an_error_comes_back_with_its_traceback():
    payload = calls.encode_outcome(False, calls.error_info(ValueError("no")), 0.1)
    ended, info, spent_s = calls.decode_outcome(payload)
    assert (ended, spent_s) == (False, 0.1)
    assert isinstance(info.exception, ValueError)
    assert "ValueError: no" in info.traceback


class Unprintable:
    def __reduce__(self):
        raise TypeError("stays here")

    def __repr__(self):
        raise RuntimeError("nor printed")


@pytest.mark.parametrize("value", [lambda: None, Unprintable()])
def test_what_cannot_be_sent_is_told_as_that(value):
    ended, info, _ = calls.decode_outcome(calls.encode_outcome(True, value, 0.1))
    assert not ended
    assert isinstance(info, ExceptionInfo)
    assert isinstance(info.exception, MaybeEncodingError)


def test_an_answer_that_cannot_be_read_is_told_as_that():
    ended, info, _ = calls.decode_outcome(b"\x80\x05no pickle")
    assert not ended
    assert info.type is MaybeEncodingError
