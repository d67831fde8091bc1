"""An OTLP/HTTP collector on loopback that keeps the spans it is sent."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WAIT_S = 30.0


class Collector:
    """Takes spans until `close`."""

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
            assert self._news.wait_for(lambda: len(self._spans) >= count, WAIT_S), self._spans
            assert len(self._spans) == count
            return {span.name: span for span in self._spans}

    def received(self) -> list[Span]:
        """All that have come so far."""
        with self._news:
            return list(self._spans)

    def of_task(self, task_id) -> list[Span]:
        """Those of one task that have come so far, by their begin."""
        own = [s for s in self.received() if attributes(s).get("messaging.message.id") == task_id]
        return sorted(own, key=lambda span: span.start_time_unix_nano)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def attributes(span: Span) -> dict[str, object]:
    """What a received span says of itself."""
    return {
        item.key: getattr(item.value, item.value.WhichOneof("value")) for item in span.attributes
    }
