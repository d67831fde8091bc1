"""The gateway as a process: where it listens, and how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest

from gateway_harness import MAIL
from laneway.services.gateway.main import bound_socket
from laneway.tasks.errors import SettingsError
from redis_server import RedisServer

pytestmark = pytest.mark.broker

PROGRAM = """
import sys
from laneway.services.gateway.main import run
from laneway.tasks.settings import current_settings
sys.exit(run(current_settings()))
"""
SEND = {"task": "notifications.send_email", "kwargs": MAIL}


@pytest.fixture
def process(redis_server: RedisServer):
    settings = {"LANEWAY_BROKER_URL": redis_server.url, "LANEWAY_GATEWAY_BIND": "127.0.0.1:0"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stderr=subprocess.PIPE,
        env={**os.environ, **settings},  # noqa: TID251
        text=True,
    ) as process:
        yield process
        if process.poll() is None:
            process.kill()


@pytest.fixture
def url(process) -> str:
    for line in process.stderr:
        entry = json.loads(line)
        if entry["event"] == "listening":
            return f"http://{entry['host']}:{entry['port']}"
    raise AssertionError("it never listened")


def test_sigterm_ends_it_with_0(process, url) -> None:
    assert httpx2.get(f"{url}/readyz").status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_request_in_progress_is_finished(process, url) -> None:
    began, may_end = threading.Event(), threading.Event()

    def content():
        yield b"first"
        began.set()
        may_end.wait(10)
        yield b"last"

    answers = []

    def upload() -> None:
        path = f"{url}/v1/documents?user_id=bob&filename=a.txt"
        answers.append(httpx2.post(path, content=content(), timeout=30))

    thread = threading.Thread(target=upload)
    thread.start()
    began.wait(10)
    process.send_signal(signal.SIGTERM)
    may_end.set()
    thread.join()
    assert [answer.status_code for answer in answers] == [201]
    assert process.wait(20) == 0


def test_an_open_stream_is_ended(process, url) -> None:
    task_id = httpx2.post(f"{url}/v1/tasks", json=SEND).json()["task_id"]
    with httpx2.stream("GET", f"{url}/v1/tasks/{task_id}/events", timeout=20) as stream:
        lines = stream.iter_lines()
        next(lines)
        process.send_signal(signal.SIGTERM)
        assert "event: state" in list(lines)
    assert process.wait(20) == 0


def test_answers_are_not_held_back() -> None:
    with bound_socket("127.0.0.1:0") as listener:
        host, port = listener.getsockname()
        with socket.create_connection((host, port)), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_port_is_told_with_its_cure() -> None:
    with (
        bound_socket("127.0.0.1:0") as listener,
        pytest.raises(SettingsError, match=r"LANEWAY_GATEWAY_BIND.*choose another address"),
    ):
        bound_socket(f"127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("bind", ["8080", "127.0.0.1", "127.0.0.1:http", ":80", "127.0.0.1:99999"])
def test_a_bind_that_is_no_address_is_told_with_its_cure(bind) -> None:
    with pytest.raises(SettingsError, match="LANEWAY_GATEWAY_BIND"):
        bound_socket(bind)


def test_it_does_not_start_for_everybody_without_tokens(redis_server: RedisServer) -> None:
    code = (
        "from laneway.services.gateway.main import run\n"
        "from laneway.tasks.settings import load_settings\n"
        "from laneway.tasks.errors import SettingsError\n"
        "try:\n    run(load_settings(gateway_bind='0.0.0.0:0'))\n"
        "except SettingsError as error:\n    print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert "LANEWAY_GATEWAY_TOKENS_FILE" in told.stdout
