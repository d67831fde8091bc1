import json
import os
import socket
import urllib.error
import urllib.request

import pytest

from laneway.observability.health import HealthBindError, HealthServer
from laneway.observability.metrics import Metrics

pytestmark = pytest.mark.unit


@pytest.fixture
def serve():
    started = []

    def serve(live=lambda: (True, "fine"), ready=lambda: (True, "consuming")):
        server = HealthServer("127.0.0.1:0", Metrics().registry, live, ready)
        server.start()
        started.append(server)
        return server

    yield serve
    for server in started:
        server.close()


def get(server, path, **headers):
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers["Content-Type"]


def test_a_healthy_process_answers_200_with_its_reason(serve):
    status, body, _ = get(serve(), "/readyz")
    assert status == 200
    assert json.loads(body) == {"status": "ok", "reason": "consuming"}


def test_a_process_that_is_not_ready_is_alive_still(serve):
    server = serve(ready=lambda: (False, "draining"))
    assert get(server, "/livez")[0] == 200
    status, body, _ = get(server, "/readyz")
    assert status == 503
    assert json.loads(body)["reason"] == "draining"


def test_a_check_that_fails_is_told_without_its_message(serve):
    server = serve(live=lambda: 1 / 0)
    status, body, _ = get(server, "/livez")
    assert status == 503
    assert json.loads(body)["reason"] == "the check itself failed with ZeroDivisionError"


def test_metrics_come_as_openmetrics_when_asked_for(serve):
    server = serve()
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    _, body, content_type = get(server, "/metrics", Accept=accept)
    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")
    assert get(server, "/metrics")[2].startswith("text/plain")


def test_other_paths_are_not_found(serve):
    assert get(serve(), "/")[0] == 404


def test_a_port_in_use_is_told_with_the_cure(serve):
    bind = f"127.0.0.1:{serve().port}"
    second = HealthServer(bind, Metrics().registry, lambda: (True, ""), lambda: (True, ""))
    with pytest.raises(HealthBindError, match=rf"{bind}.*in use.*Set LANEWAY_HEALTH_BIND"):
        second.start()


@pytest.mark.parametrize("bind", ["9464", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:70000"])
def test_what_is_no_address_is_refused(bind):
    server = HealthServer(bind, Metrics().registry, lambda: (True, ""), lambda: (True, ""))
    with pytest.raises(HealthBindError, match="no host:port"):
        server.start()


def test_a_forked_child_does_not_hold_the_port(serve):
    server = serve()
    port = server.port
    go_read, go_write = os.pipe()
    done_read, done_write = os.pipe()
    child = os.fork()
    if child == 0:
        server.close_in_child()
        os.write(done_write, b"x")
        os.read(go_read, 1)
        os._exit(0)
    os.read(done_read, 1)
    server.close()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen()
    os.write(go_write, b"x")
    assert os.waitpid(child, 0)[1] == 0
    for descriptor in (go_read, go_write, done_read, done_write):
        os.close(descriptor)
