"""Tasks and answers as bytes: marshal for the usual ones, pickle for the rest.

Marshal is several times as fast, and knows just the plain types that a task's envelope is made of.
"""

import marshal
import pickle
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.pool import MaybeEncodingError
from celery.app.trace import fast_trace_task, trace_task_ret

from laneway.services.worker.body import run_body

BODY, FAST, TRACE, PICKLED = 1, 2, 3, 4
"""Kinds of frames to a child: a task for our tracer or either of Celery's, or any other call."""

UP, ANSWERS, OUTCOME, SKIPPED, LEAVING = 1, 2, 3, 4, 5
"""Kinds of frames from a child: it is ready; tasks that went well; how one went that did not; up to
which number it skipped what was taken back; it takes no more and ends."""

_TRACERS = {run_body: BODY, fast_trace_task: FAST, trace_task_ret: TRACE}
_TARGETS = {kind: target for target, kind in _TRACERS.items()}
_TRACER_ARGUMENTS = 6

_MARSHAL = 2
"""Later versions look for objects that occur twice, which costs more than it saves here."""

_LONGEST_TEXT = 1 << 16


def call_name(target: Any, args: Any) -> str:
    """What tasks of one kind have in common: the task's name, else the function's."""
    return str(args[0] if target in _TRACERS else getattr(target, "__qualname__", target))


def encode_call(target: Any, args: Any, kwargs: Any) -> tuple[int, bytes]:
    """A call as the kind and the payload of a frame.

    Raises:
        Exception: whatever pickle finds that cannot be sent.
    """
    kind = _TRACERS.get(target)
    if kind is None or kwargs or len(args) != _TRACER_ARGUMENTS:
        return PICKLED, pickle.dumps((target, tuple(args), kwargs), pickle.HIGHEST_PROTOCOL)
    name, task_id, request, *rest = args
    # The tracer takes both anew from the body, which may be large.
    slim = {key: value for key, value in request.items() if key not in {"args", "kwargs"}}
    call = (name, task_id, slim, *rest)
    try:
        return kind, marshal.dumps(call, _MARSHAL)
    except ValueError:
        return PICKLED, pickle.dumps((target, call, {}), pickle.HIGHEST_PROTOCOL)


def decode_call(kind: int, payload: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Function, arguments and keyword arguments of a call; the bytes come from our parent."""
    if kind == PICKLED:
        return pickle.loads(payload)  # type: ignore[no-any-return]  # noqa: S301
    return _TARGETS[kind], marshal.loads(payload), {}  # noqa: S302


def is_plain(value: Any) -> bool:
    """Whether a call's result is that of a task that went well, as Celery's tracers give it."""
    return (
        type(value) is tuple
        and len(value) == 3  # noqa: PLR2004 - failed, text, seconds
        and value[0] == 0
        and type(value[2]) is float
        and (value[1] is None or (type(value[1]) is str and len(value[1]) < _LONGEST_TEXT))
    )


def encode_answers(answers: list[tuple[int, str | None, float, float]]) -> bytes:
    """Tasks that went well: number, text of the result, Celery's time of it and ours, both in s."""
    return marshal.dumps(answers, _MARSHAL)


def decode_answers(payload: Any) -> list[tuple[int, str | None, float, float]]:
    """What `encode_answers` made."""
    return marshal.loads(payload)  # type: ignore[no-any-return]  # noqa: S302


def encode_outcome(ended: bool, value: Any, spent_s: float) -> bytes:
    """How a call went: whether it ended by itself, its result or error, and how long it took."""
    try:
        return pickle.dumps((ended, value, spent_s), pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # noqa: BLE001 - objects raise what they like when pickled
        return pickle.dumps((False, _not_sent(error, value), spent_s), pickle.HIGHEST_PROTOCOL)


def decode_outcome(payload: Any) -> tuple[bool, Any, float]:
    """What `encode_outcome` made; an error of its own if the answer cannot be read."""
    try:
        return pickle.loads(payload)  # type: ignore[no-any-return]  # noqa: S301
    except Exception as error:  # noqa: BLE001 - so do they when unpickled
        return False, _not_sent(error, "an answer that cannot be read"), 0.0


def error_info(error: BaseException) -> Any:
    """An error that nothing has raised yet, as Celery wants to hear of it: with a traceback."""
    try:
        raise error
    except type(error):
        return ExceptionInfo()


def _not_sent(error: Exception, value: Any) -> Any:
    try:
        wrapped = MaybeEncodingError(error, value)
    except Exception:  # noqa: BLE001 - some cannot be printed either
        wrapped = MaybeEncodingError(type(error).__name__, type(value).__name__)
    return ExceptionInfo((MaybeEncodingError, wrapped, error.__traceback__))
