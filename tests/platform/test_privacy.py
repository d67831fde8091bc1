"""What a task is given and gives back is seen by its caller alone."""

import base64
import json

import pytest

from lane_client import lane_client, write_catalogue
from laneway.observability.metrics import Metrics
from laneway.observability.tracing import start_tracing
from laneway.services.local.processes import free_port
from laneway.services.publishing import observe_publishing
from laneway.tasks.broker import keys
from laneway.tasks.dispatch import submit
from laneway.tasks.status import read_status
from worker_harness import running_worker, wait_for

pytestmark = pytest.mark.platform

CANARY = "canary-9f3c1d"
WAYS = ("return", "raise", "retry", "reject", "exhaust", "hook")
LANE = "private"
OUTCOMES = {"success": 2, "failure": 3, "retry": 2, "rejected": 1}


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return write_catalogue(tmp_path_factory.mktemp("catalogue"), private={}, quiet={})


@pytest.fixture(scope="module")
def client(module_redis, module_collector, catalogue):
    tracing = start_tracing(module_collector.url, "producer")
    with lane_client(module_redis.url, LANE, catalogue) as connected:
        observe_publishing(connected.app, Metrics(), tracing.tracer)
        yield connected
    tracing.shutdown()


@pytest.fixture(scope="module")
def worker(module_redis, module_collector, client, catalogue, tmp_path_factory):
    """Has run every task that handles the canary, at the chattiest level of its log."""
    with running_worker(
        LANE,
        tmp_path_factory.mktemp("worker"),
        module_redis.url,
        queues_file=str(catalogue),
        task_modules="lane_tasks,fate_tasks",
        otlp_endpoint=module_collector.url,
        log_level="debug",
        smtp_host="127.0.0.1",
        smtp_port=str(free_port()),
        smtp_security="none",
    ) as running:
        sent = [client.send("fate.secret", text=CANARY, way=way) for way in WAYS]
        client.app.send_task("fate.secret", (CANARY,), queue=LANE)
        client.wait(*sent)
        mail(client, LANE)
        wait_for(lambda: len(running.attempts()) >= sum(OUTCOMES.values()) + 1, "every attempt")
        running.results = sent
        yield running


def mail(client, queue):
    payload = {"to": f"{CANARY}@example.org", "subject": CANARY, "body": CANARY}
    return submit("notifications.send_email", payload, queue=queue, app=client.app)


def test_the_caller_reads_what_it_asked_for(worker, client):
    returned, raised = worker.results[:2]
    assert returned.result == CANARY
    assert CANARY in read_status(client.app, raised.id).error


def test_the_log_never_holds_it(worker):
    assert worker.attempts()
    assert [line for line in worker.log().splitlines() if CANARY in line] == []


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez"])
def test_the_health_port_never_shows_it(worker, path):
    status, text = worker.get(path)
    assert status == 200
    assert CANARY not in text


def test_no_span_carries_it(worker, module_collector):
    runs = f"run {'fate.secret'}"
    wait_for(
        lambda: sum(span.name == runs for span in module_collector.received()) >= len(WAYS),
        "the spans of the code",
    )
    assert not [s for s in module_collector.received() if CANARY.encode() in s.SerializeToString()]


def test_a_message_holds_it_in_its_body_alone(client, module_redis):
    """Headers are what monitors and logs of any Celery tool print."""
    client.send_with("fate.secret", {"queue": "quiet"}, text=CANARY)
    client.app.send_task("fate.secret", (CANARY,), queue="quiet")
    mail(client, "quiet")
    with module_redis.client() as redis:
        messages = list(map(json.loads, redis.lrange("quiet", 0, -1)))
    assert len(messages) == 3
    for message in messages:
        assert CANARY in base64.b64decode(message.pop("body")).decode()
        assert CANARY not in json.dumps(message)


def test_the_message_of_a_retry_holds_it_in_its_body_alone(worker, module_redis):
    """The mail's retry, which waits for its time."""
    assert worker.stop() == 0
    with module_redis.client() as redis:
        [record] = redis.zrange(keys.delayed(LANE), 0, -1)
    message = json.loads(record.partition("\n")[2])
    assert message["headers"]["retries"] == 1
    assert CANARY in base64.b64decode(message.pop("body")).decode()
    assert CANARY not in json.dumps(message)
