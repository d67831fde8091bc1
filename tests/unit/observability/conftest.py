"""A collector that keeps what it is sent, and a clock that stands still."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

import pytest
import structlog
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from laneway.observability.running import Clock


class Collector:
    """An OTLP/HTTP collector on loopback."""

    def __init__(self):
        self._spans = []
        self._news = Condition()
        self.paths = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(self.path, ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def take(self, path, request):
        with self._news:
            self.paths.add(path)
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    self._spans.extend(scope.spans)
            self._news.notify_all()

    def spans(self, count) -> dict[str, Span]:
        """By name, once this many have come."""
        with self._news:
            assert self._news.wait_for(lambda: len(self._spans) >= count, 30), self._spans
            assert len(self._spans) == count
            return {span.name: span for span in self._spans}

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector():
    running = Collector()
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

    def __getattr__(self, level):
        return lambda event, **keys: self.written.append({"event": event, "level": level, **keys})


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def attributes() -> Callable[[Span], dict[str, object]]:
    """What a received span says of itself."""

    def read(span):
        return {
            item.key: getattr(item.value, item.value.WhichOneof("value"))
            for item in span.attributes
        }

    return read


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
