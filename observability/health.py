"""`/metrics`, `/livez` and `/readyz` of a process, on one port."""

import json
import socket
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Thread
from typing import Any

from prometheus_client import CollectorRegistry

from laneway.observability.metrics import metrics_payload

Check = Callable[[], tuple[bool, str]]
"""Whether all is well, and a reason in one line. Answers at once, from memory."""

_REQUEST_S = 5.0
_LARGEST_PORT = 65_535


class HealthBindError(OSError):
    """The health address cannot be listened on."""


class HealthServer:
    """Serves from a daemon thread.

    Args:
        bind: `host:port`; port 0 takes a free one, see `port`.
        registry: What `/metrics` shows.
        live: Whether the process should go on. It must not depend on the broker: a restart
            does not mend Redis.
        ready: Whether it does its work at the moment.
    """

    def __init__(self, bind: str, registry: CollectorRegistry, live: Check, ready: Check) -> None:
        self._bind = bind
        self._routes: dict[str, Callable[[str | None], _Answer]] = {
            "/metrics": lambda accept: (HTTPStatus.OK, *metrics_payload(registry, accept)),
            "/livez": lambda _accept: _judged(live),
            "/readyz": lambda _accept: _judged(ready),
        }
        self._server: _Server | None = None

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it was not started.
        """
        if self._server is None:
            raise RuntimeError("The health server has no port yet. Call start() first.")
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Listen and serve.

        Raises:
            HealthBindError: the address is taken or no address at all; the message says the cure.
        """
        host, port = _address(self._bind)
        try:
            self._server = _Server(host, port, self._routes)
        except OSError as error:
            raise HealthBindError(
                f"The health server cannot listen on {self._bind} ({error.strerror}). "
                "Set LANEWAY_HEALTH_BIND to a free host:port; port 0 takes any."
            ) from None
        Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def close(self) -> None:
        """Stop serving; requests under way are left to end."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def close_in_child(self) -> None:
        """Let go of the inherited socket in a forked child, so that it does not hold the port.

        Closes the descriptor and nothing else: any lock here may have been held at the fork.
        """
        if self._server is not None:
            self._server.socket.close()
            self._server = None


_Answer = tuple[HTTPStatus, bytes, str]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, host: str, port: int, routes: dict[str, Callable[[str | None], _Answer]]
    ) -> None:
        self.routes = routes
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own would ask the DNS for this host's name.
        TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that hang up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _REQUEST_S

    def do_GET(self) -> None:
        route = self.server.routes.get(self.path.partition("?")[0])
        status, body, content_type = (
            route(self.headers.get("Accept"))
            if route
            else _json(HTTPStatus.NOT_FOUND, "no such path")
        )
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "laneway"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
        """Say nothing: probes come every few seconds."""


def _judged(check: Check) -> _Answer:
    try:
        well, reason = check()
    except Exception as error:  # noqa: BLE001 - a check that fails is an answer too
        well, reason = False, f"the check itself failed with {type(error).__name__}"
    return _json(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, reason)


def _json(status: HTTPStatus, reason: str) -> _Answer:
    verdict = "ok" if status is HTTPStatus.OK else "not ok"
    body = json.dumps({"status": verdict, "reason": reason}) + "\n"
    return status, body.encode(), "application/json"


def _address(bind: str) -> tuple[str, int]:
    host, colon, port = bind.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > _LARGEST_PORT:
        raise HealthBindError(
            f"{bind!r} is no host:port. Set LANEWAY_HEALTH_BIND to one, such as 0.0.0.0:9464."
        )
    return host.strip("[]"), int(port)
