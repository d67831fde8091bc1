"""A collector that keeps what it is sent, and a clock that stands still."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import structlog
from opentelemetry.proto.trace.v1.trace_pb2 import Span

import otlp_collector
from laneway.observability.running import Clock


@pytest.fixture
def collector():
    running = otlp_collector.Collector()
    yield running
    running.close()


@dataclass
class Hands:
    """Turned by a test; wall time and steady time move together."""

    now_s: float = 1_700_000_000.0
    clock: Clock = field(init=False)

    def __post_init__(self):
        self.clock = Clock(wall_s=lambda: self.now_s, steady_s=lambda: self.now_s)


@pytest.fixture
def hands() -> Hands:
    return Hands()


class Lines:
    """A logger that keeps its lines."""

    def __init__(self):
        self.written = []

    def isEnabledFor(self, level):  # noqa: N802 - the standard library's name
        return bool(level)

    def __getattr__(self, level):
        return lambda event, **keys: self.written.append({"event": event, "level": level, **keys})


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def attributes() -> Callable[[Span], dict[str, object]]:
    """What a received span says of itself."""
    return otlp_collector.attributes


@pytest.fixture
def undo_logging():
    """Give the process back the loggers that a test set up anew."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger) and logger.name.startswith("celery"):
            logger.filters.clear()
