"""Keeping what tasks were given, and what they gave back, out of the log."""

import logging

from laneway.observability.faults import error_type

_PAYLOAD_LOGGERS = (
    "celery.app.trace",
    "celery.worker.strategy",
    "celery.worker.request",
    "celery.worker.consumer.consumer",
    "celery.utils.dispatch.signal",
)
"""Celery's loggers whose lines hold arguments, results, message bodies or exception messages."""

_FAILED_HOOK = "Exception raised outside body"


class PayloadFilter(logging.Filter):
    """Lets errors through, as a fixed text with the error's type; drops the rest.

    The line of an attempt says what became of a task; these lines say it again, with its data.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place, before any handler sees it."""
        if record.levelno < logging.ERROR:
            return False
        error = _error(record)
        kind = "an error" if error is None else error_type(error)
        record.msg = f"Celery met {kind} in {record.module}.{record.funcName}"
        record.args = None
        record.exc_text = None
        record.stack_info = None
        return True


class WarningFilter(logging.Filter):
    """Cuts Celery's warning that a hook failed before the exception that it prints in full."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Shorten the record in place."""
        before, found, _ = record.getMessage().partition(_FAILED_HOOK)
        if found:
            record.msg, record.args = before + found, None
        return True


def guard_celery_loggers() -> None:
    """Put the filters on the loggers that print payloads; safe to call again."""
    for name in _PAYLOAD_LOGGERS:
        _guard(logging.getLogger(name), PayloadFilter)
    _guard(logging.getLogger("py.warnings"), WarningFilter)


def _guard(logger: logging.Logger, kind: type[logging.Filter]) -> None:
    if not any(isinstance(known, kind) for known in logger.filters):
        logger.addFilter(kind())


def without_exceptions(record: logging.LogRecord) -> logging.LogRecord:
    """The record with exceptions among its arguments replaced by the names of their types."""
    if isinstance(record.msg, BaseException):
        record.msg = error_type(record.msg)
    if isinstance(record.args, tuple):
        record.args = tuple(map(_named, record.args))
    elif isinstance(record.args, dict):
        record.args = {name: _named(value) for name, value in record.args.items()}
    record.exc_text = None
    return record


def _named(value: object) -> object:
    return error_type(value) if isinstance(value, BaseException) else value


def _error(record: logging.LogRecord) -> BaseException | None:
    if record.exc_info and record.exc_info[1] is not None:
        return record.exc_info[1]
    args = record.args if isinstance(record.args, tuple) else ()
    return next((value for value in args if isinstance(value, BaseException)), None)
