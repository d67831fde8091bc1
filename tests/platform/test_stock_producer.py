"""A producer that knows only Celery: it routes by the name of a lane and reads the results."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from laneway.tasks.broker import keys
from lesson_harness import MODULES, order, ready, write_catalogue
from redis_server import RedisServer
from smtp_server import SmtpServer
from worker_harness import RunningWorker, running_worker, wait_for

pytestmark = pytest.mark.platform

LANES = ("high-priority", "documents", "notifications", "reports")
ORDERED = "ordered"
MAIL = {"to": "ann@example.org", "subject": "Hello", "body": "Hello, Ann"}


@pytest.fixture(scope="module")
def mail_server() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stock")


@pytest.fixture(scope="module")
def settings(folder: Path, module_redis: RedisServer, mail_server: SmtpServer) -> dict[str, str]:
    lanes = f"reports: {{tasks: ['lane.*']}}\n{ORDERED}: {{concurrency: 1}}"
    return {
        "result_url": module_redis.url,
        "task_modules": MODULES,
        "queues_file": write_catalogue(folder / "queues.yaml", lanes),
        "storage_url": (folder / "storage").as_uri(),
        "document_roots": str(folder),
        "smtp_port": str(mail_server.port),
        "smtp_security": "none",
    }


@pytest.fixture(scope="module")
def workers(
    folder: Path, module_redis: RedisServer, settings: dict[str, str]
) -> Iterator[dict[str, RunningWorker]]:
    with ExitStack() as stack:
        yield {
            lane: stack.enter_context(running_worker(lane, folder, module_redis.url, **settings))
            for lane in LANES
        }


def outcomes(worker: RunningWorker, task_id: str) -> list[str]:
    """Of every attempt of a task, once one has ended."""
    lines = wait_for(lambda: worker.attempts(task_id), "an attempt's line")
    return [line["outcome"] for line in lines]


def test_it_reaches_every_lane_by_name_and_reads_the_results(
    module_redis, workers, folder: Path, mail_server
) -> None:
    document = folder / "lamps.md"
    document.write_text("# Lamps\n\nA lamp turns in the tower.\n")
    work = [
        ("high-priority", "lane.add", {"x": 1, "y": 2}),
        ("documents", "documents.process", {"file_path": str(document), "user_id": "ann"}),
        ("notifications", "notifications.send_email", MAIL),
        ("reports", "lane.add", {"x": 3, "y": 4}),
    ]
    orders = [{"name": name, "kwargs": kwargs, "queue": lane} for lane, name, kwargs in work]
    answers = order(module_redis, orders)
    assert [answer["state"] for answer in answers] == ["SUCCESS"] * 4
    added, indexed, sent, more = (answer["result"] for answer in answers)
    assert (added, more) == (3, 7)
    assert indexed == {
        "file_path": str(document),
        "chunk_count": 1,
        "user_id": "ann",
        "collection": "default",
        "status": "indexed",
    }
    assert sent == {"to": MAIL["to"], "status": "sent"}
    assert [mail.recipient for mail in mail_server.mails] == [MAIL["to"]]
    for answer, (lane, _, _) in zip(answers, work, strict=True):
        assert outcomes(workers[lane], answer["id"]) == ["success"]


def test_it_reads_an_error_with_its_kind_and_message(module_redis, workers) -> None:
    orders = [{"name": "lane.fail", "args": ["no such thing"], "queue": "reports"}]
    (answer,) = order(module_redis, orders)
    assert (answer["state"], answer["error"]) == ("FAILURE", "ValueError: no such thing")


def test_its_countdown_and_expiry_hold(module_redis, workers) -> None:
    see = {"name": "lane.report", "queue": "reports"}
    later, late = order(
        module_redis, [{**see, "countdown": 0.3}, {**see, "countdown": 0.5, "expires": 0.1}]
    )
    assert later["state"] == "SUCCESS"
    assert later["result"]["eta"] is not None
    assert late["state"] == "REVOKED"


def test_its_priorities_are_honoured(module_redis, settings, folder: Path) -> None:
    """Sent while nobody listens, in the wrong order; one slot then takes them in theirs."""
    mark = str(folder / "order")
    priorities = [9, 6, 3, 0]
    orders = [
        {
            "name": "fate.write",
            "kwargs": {"mark": mark, "text": str(priority)},
            "queue": ORDERED,
            "priority": priority,
        }
        for priority in priorities
    ]
    order(module_redis, orders, "--no-wait")
    assert [len(ready(module_redis, name)) for name in keys.ready_lists(ORDERED)] == [1, 1, 1, 1]
    loaded = {**settings, "task_modules": f"{MODULES},fate_tasks"}
    with running_worker(ORDERED, folder, module_redis.url, **loaded) as worker:
        last = {"name": "lane.add", "args": [1, 1], "queue": ORDERED, "priority": 9}
        assert order(module_redis, [last])[0]["state"] == "SUCCESS"
        wait_for(lambda: len(worker.attempts()) == len(priorities) + 1, "the last line")
    assert Path(mark).read_text().split() == ["0", "3", "6", "9"]


@pytest.mark.parametrize(
    ("queue", "name", "kwargs", "field", "reason", "value"),
    [
        (
            "notifications",
            "notifications.send_email",
            {**MAIL, "to": "secret-not-an-address"},
            "to:",
            "must be one e-mail address",
            "secret-not",
        ),
        (
            "documents",
            "documents.process",
            {"file_path": "/secret.md", "user_id": "ann", "priority": "secret-urgent"},
            "priority:",
            "'low', 'normal' or 'high'",
            "secret-urgent",
        ),
        (
            "documents",
            "documents.process",
            {"file_path": "/a.md", "user_id": "ann", "secret": 1},
            "secret",
            "unexpected keyword argument",
            "/a.md",
        ),
        (
            "documents",
            "documents.embed",
            {"texts": ["secret text"], "chunk_ids": ["0" * 32]},
            "DocumentsEmbed",
            "either texts or chunk_ids",
            "secret text",
        ),
    ],
)
def test_an_invalid_payload_fails_at_once_and_names_field_and_reason_alone(
    module_redis, workers, queue, name, kwargs, field, reason, value
) -> None:
    (answer,) = order(module_redis, [{"name": name, "kwargs": kwargs, "queue": queue}])
    assert answer["state"] == "FAILURE"
    assert answer["error"].startswith("InvalidPayload: ")
    assert field in answer["error"]
    assert reason in answer["error"]
    assert value not in answer["error"]
    assert outcomes(workers[queue], answer["id"]) == ["failure"]
    assert workers[queue].attempts(answer["id"])[0]["error_type"] == "InvalidPayload"
    assert value not in workers[queue].log()
