"""The demonstration's own doors: how it ends early, and what it shows."""

import http.server
import io
import json
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from laneway.services.local.demonstration import demonstrate

pytestmark = pytest.mark.unit


class Gateway(http.server.BaseHTTPRequestHandler):
    """Accepts everything; what becomes of a task is told by `status`."""

    status: dict
    asked: threading.Event

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"task_id": "1"})

    def do_GET(self):
        if self.path == "/v1/queues":
            self._answer({"queues": []})
        elif self.path.startswith("/v1/tasks/"):
            self._answer(self.status)
            self.asked.set()

    def _answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        pass


@pytest.fixture
def gateway():
    Gateway.status, Gateway.asked = {"state": "PENDING"}, threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run_demonstration(gateway, folder, stop):
    platform = SimpleNamespace(addresses=SimpleNamespace(gateway=gateway, mails=str(folder)))
    shown = io.StringIO()
    succeeded = demonstrate(platform, Console(file=shown, width=300), stop)
    return succeeded, shown.getvalue()


def test_a_demonstration_that_is_told_to_end_does_not_wait_for_its_tasks(gateway, tmp_path):
    stop = threading.Event()
    watcher = threading.Thread(target=lambda: Gateway.asked.wait() and stop.set())
    watcher.start()
    succeeded, shown = run_demonstration(gateway, tmp_path, stop)
    watcher.join()
    assert not succeeded
    assert "cut short" in shown


def test_a_demonstration_told_to_end_before_it_begins_submits_nothing(tmp_path):
    stop = threading.Event()
    stop.set()
    succeeded, shown = run_demonstration("http://127.0.0.1:1", tmp_path, stop)
    assert not succeeded
    assert "cut short" in shown


def test_brackets_in_an_error_do_not_break_the_demonstrations_table(gateway, tmp_path, monkeypatch):
    monkeypatch.setattr("laneway.services.local.demonstration.WAIT_LIMIT_S", 0.0)
    Gateway.status = {"state": "FAILURE", "error": "ValueError: [/nope] at [1]"}
    succeeded, shown = run_demonstration(gateway, tmp_path, threading.Event())
    assert not succeeded
    assert "ValueError: [/nope] at [1]" in shown
