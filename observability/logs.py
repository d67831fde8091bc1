"""Logging: one JSON object a line, from structlog and from the standard library alike."""

import copy
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import Processor

from laneway.observability.faults import error_type, frames, where_raised
from laneway.observability.redaction import guard_celery_loggers, without_exceptions

LogFormat = Literal["json", "console"]


def setup_logging(level: str, log_format: LogFormat = "json", stream: TextIO | None = None) -> None:
    """Make every logger of this process write through Laneway; safe to call again.

    Args:
        level: debug, info, warning or error.
        log_format: `json` for machines, `console` for a person's terminal.
        stream: Where to write; stderr if not given.
    """
    handler = _LineHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_shared_processors(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _renderer(log_format),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(capture=True)
    guard_celery_loggers()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A structlog logger of this name."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def ask_whose(source: Callable[[], Mapping[str, str | None]]) -> None:
    """Let every line carry what `source` says when it is written, such as the `task_id`.

    Asked by a line, it costs nothing to a task that writes none.
    """
    _whose.source = source


class _Whose:
    """The keys of whoever writes a line; a key that the line has already stays as it is."""

    source: Callable[[], Mapping[str, str | None]] = staticmethod(dict)

    def __call__(
        self, _logger: Any, _method: str, keys: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        for name, value in self.source().items():
            if value is not None:
                keys.setdefault(name, value)
        return keys


_whose = _Whose()


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _whose,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _tell_exception_without_message,
    ]


def _renderer(log_format: LogFormat) -> Processor:
    if log_format == "console":
        return structlog.dev.ConsoleRenderer(colors=False)
    return structlog.processors.JSONRenderer(default=_redacted, ensure_ascii=False)


def _redacted(value: object) -> str:
    return f"<{type(value).__name__}>"


def _tell_exception_without_message(
    _logger: Any, _method: str, keys: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    info = keys.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        keys.setdefault("error_type", error_type(error))
        keys.setdefault("where", where_raised(error))
        keys["stack"] = frames(error)
    return keys


class _LineHandler(logging.Handler):
    """Writes each line with one call to the system.

    A stream's buffer has a lock that a fork may catch held; the child would wait for it for ever.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        try:
            self._descriptor: int | None = stream.fileno()
        except OSError:
            self._descriptor = None

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(without_exceptions(copy.copy(record))) + "\n"
            self._write(line)
        except Exception:  # noqa: BLE001 - a line that cannot be written must not stop a task
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say that a line was lost; the standard way would print its arguments."""
        with suppress(Exception):
            self._write(f'{{"event": "a log line was lost", "logger": "{record.name}"}}\n')

    def _write(self, line: str) -> None:
        if self._descriptor is None:
            self._stream.write(line)
            return
        rest = line.encode("utf-8", "backslashreplace")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
