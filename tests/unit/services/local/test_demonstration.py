"""The demonstration's own doors: how it ends early, and what it shows."""

import http.server
import io
import json
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from laneway.services.local.demonstration import Place, demonstrate, demonstrate_here

pytestmark = pytest.mark.unit


class Gateway(http.server.BaseHTTPRequestHandler):
    """Accepts everything; what becomes of a task is told by `status`."""

    status: dict
    asked: threading.Event
    token: str | None = None
    sent: list
    unheard_of: list

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.token and self.headers["Authorization"] != f"Bearer {self.token}":
            self._answer({"error": "unknown_token"}, 401)
            return
        self.sent.append(self.path)
        self._answer({"task_id": "1"})

    def do_GET(self):
        if self.path == "/v1/queues":
            self._answer({"queues": []})
        elif self.path.startswith("/v1/search"):
            self._answer({"hits": []})
        elif self.path.startswith("/v1/tasks/") and self.unheard_of:
            self.unheard_of.pop()
            self._answer({"error": "unknown_task_id"}, 404)
        elif self.path.startswith("/v1/tasks/"):
            self._answer(self.status)
            self.asked.set()

    def _answer(self, content, code=200):
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        pass


@pytest.fixture
def gateway():
    Gateway.status, Gateway.asked = {"state": "PENDING"}, threading.Event()
    Gateway.token, Gateway.sent, Gateway.unheard_of = None, [], []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def run_demonstration(gateway, folder, stop):
    platform = SimpleNamespace(addresses=SimpleNamespace(gateway=gateway, mails=str(folder)))
    shown = io.StringIO()
    succeeded = demonstrate_here(platform, Console(file=shown, width=300), stop)
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


def run_elsewhere(gateway, **place):
    shown = io.StringIO()
    succeeded = demonstrate(
        Place(gateway, **{"wait_s": 0.1, **place}),
        Console(file=shown, width=300),
        threading.Event(),
    )
    return succeeded, shown.getvalue()


def test_a_platform_elsewhere_is_tried_with_a_token(gateway):
    Gateway.status, Gateway.token = {"state": "SUCCESS", "result": {}}, "lwy_secret"
    succeeded, shown = run_elsewhere(gateway, token="lwy_secret", mail_to="you@example.org")
    assert not succeeded  # its search finds nothing
    assert "NOT FOUND" in shown
    assert "you@example.org" in shown
    assert "taken by the mail server" in shown


def test_a_refusal_is_told_and_not_thrown(gateway):
    Gateway.token = "lwy_secret"
    succeeded, shown = run_elsewhere(gateway)
    assert not succeeded
    assert "POST" in shown
    assert "401" in shown
    assert "unknown_token" in shown


def test_a_gateway_that_is_away_is_told_and_not_thrown():
    succeeded, shown = run_elsewhere("http://127.0.0.1:1")
    assert not succeeded
    assert "had no answer" in shown


def test_a_stock_producer_is_tried_beside_the_gateway_if_there_is_one(gateway):
    Gateway.status = {"state": "SUCCESS", "result": {}}
    sent = []

    def send(queue, task, kwargs):
        sent.append((queue, task))
        return "2"

    _, shown = run_elsewhere(gateway, send=send)
    assert sent == [
        ("notifications", "notifications.send_email"),
        ("documents", "rag.index_collection"),
    ]
    assert shown.count("by stock Celery") == 2


def test_all_waits_together_are_bounded(gateway):
    succeeded, shown = run_elsewhere(gateway)
    assert not succeeded
    assert "not ended after" in shown


def test_a_stock_producers_task_is_waited_for_before_the_gateway_has_heard_of_it(gateway):
    Gateway.status, Gateway.unheard_of = {"state": "SUCCESS", "result": {}}, [404] * 4
    _, shown = run_elsewhere(gateway, wait_s=30, send=lambda *_: "2")
    assert shown.count("SUCCESS") == 7
