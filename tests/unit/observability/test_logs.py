import io
import json
import logging
import os
import threading
import warnings

import pytest

from laneway.observability.logs import ask_whose, get_logger, setup_logging

pytestmark = [pytest.mark.unit, pytest.mark.usefixtures("undo_logging")]

CANARY = "canary-7f3a"


@pytest.fixture
def written():
    stream = io.StringIO()
    setup_logging("info", "json", stream)
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_structlog_and_stdlib_write_the_same_kind_of_line(written):
    get_logger("laneway.worker").info("began", slots=4)
    logging.getLogger("team.code").warning("took %s s", 3)
    ours, theirs = written()
    assert ours.pop("timestamp").endswith("Z")
    assert ours == {"event": "began", "logger": "laneway.worker", "level": "info", "slots": 4}
    assert theirs["event"] == "took 3 s"
    assert theirs["level"] == "warning"
    assert theirs["logger"] == "team.code"


def test_the_level_holds_for_both(written):
    get_logger("a").debug("unseen")
    logging.getLogger("b").debug("unseen")
    assert written() == []


def test_a_line_carries_whose_it_is_when_it_is_written(written):
    whose = {"task_id": "id-1", "queue": "documents", "trace_id": None}
    ask_whose(lambda: whose)
    try:
        logging.getLogger("team").info("inside")
        whose = {}
        logging.getLogger("team").info("outside")
    finally:
        ask_whose(dict)
    inside, outside = written()
    assert inside["task_id"] == "id-1"
    assert "trace_id" not in inside
    assert "task_id" not in outside


def test_a_line_break_does_not_break_the_line(written):
    logging.getLogger("team").info("one\ntwo")
    assert written()[0]["event"] == "one\ntwo"


def test_an_exception_is_told_by_type_and_frames(written):
    try:
        int(CANARY)
    except ValueError:
        logging.getLogger("team").exception("it failed")
        get_logger("laneway").exception("it failed")
    for line in written():
        assert line["error_type"] == "ValueError"
        assert line["where"].startswith("observability/test_logs.py:")
        assert line["stack"][-1].endswith("test_an_exception_is_told_by_type_and_frames")
        assert CANARY not in json.dumps(line)


def test_no_payload_reaches_the_log(written):
    error = ValueError(CANARY)
    logging.getLogger("celery.app.trace").info("Task %s succeeded: %s", "t", CANARY)
    logging.getLogger("celery.worker.strategy").info("Task received %s", CANARY)
    logging.getLogger("celery.worker.consumer.consumer").warning("Unknown message %s", CANARY)
    logging.getLogger("celery.worker.consumer.consumer").error("Unknown task %s", CANARY)
    logging.getLogger("celery.worker.request").error("Task handler raised: %r", error)
    context = {"name": "t", "exc": CANARY, "args": CANARY, "traceback": CANARY}
    logging.getLogger("celery.app.trace").error(
        "Task %(name)s raised %(exc)s",
        context,
        exc_info=(type(error), error, None),
        extra={"data": context},
    )
    logging.getLogger("team").error("Failed with %s", error)
    logging.getLogger("team").error(error)
    get_logger("laneway").info("odd", value=[error], other={"x": object()})

    lines = written()

    assert CANARY not in json.dumps(lines)
    assert [line["level"] for line in lines] == ["error"] * 5 + ["info"]
    assert "Celery met ValueError" in lines[1]["event"]
    assert lines[2]["error_type"] == "ValueError"
    assert lines[3]["event"] == "Failed with ValueError"
    assert lines[5]["value"] == ["<ValueError>"]


def test_a_line_that_cannot_be_made_is_reported_without_its_data():
    stream = io.StringIO()
    setup_logging("info", "json", stream)
    too_few = "%s %s"
    logging.getLogger("team").info(too_few, CANARY)
    assert json.loads(stream.getvalue()) == {"event": "a log line was lost", "logger": "team"}


def test_setting_up_twice_writes_once(written):
    stream = io.StringIO()
    setup_logging("info", "json", stream)
    logging.getLogger("celery.worker.request").error("x")
    logging.getLogger("team").info("y")
    assert len(stream.getvalue().splitlines()) == 2
    assert written() == []


def test_the_console_is_for_people():
    stream = io.StringIO()
    setup_logging("info", "console", stream)
    get_logger("laneway").info("began", slots=4)
    assert "began" in stream.getvalue()
    assert "slots=4" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_python_warnings_become_lines(written):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    assert written()[0]["logger"] == "py.warnings"


def test_a_forked_child_logs_while_a_thread_of_the_parent_does():
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read) as lines:
        setup_logging("info", "json", stream)
        stop = threading.Event()

        def chatter():
            while not stop.wait(0.001):
                logging.getLogger("parent").info("chatter")

        def drain():
            for line in lines:
                received.append(json.loads(line))
                if len([one for one in received if one["logger"] == "child"]) == 20:
                    stop.set()
                    return

        received = []
        threads = [threading.Thread(target=chatter), threading.Thread(target=drain)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            child = os.fork()
            if child == 0:
                logging.getLogger("child").info("hello")
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
