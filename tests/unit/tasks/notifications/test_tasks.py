import inspect
import logging

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from celery.utils.time import get_exponential_backoff_interval

from laneway.tasks.app import create_app
from laneway.tasks.errors import InvalidPayload, MailDeferred, MailRefused
from laneway.tasks.notifications import tasks
from laneway.tasks.queues import load_catalogue
from smtp_server import DROP

pytestmark = pytest.mark.unit

NAME = "notifications.send_email"
BOB = "bob@example.org"
MAIL = {"to": BOB, "subject": "Indexed", "body": "Your document is indexed.\n"}
TRIES = 4


@pytest.fixture
def send_email(settings_for):
    """Make the task, bound to an app of the settings for a server; states stay in memory."""

    def bound(server, **changes):
        app = create_app(settings_for(server, **changes), load_catalogue())
        app.conf.result_backend = "cache+memory://"
        app.finalize()
        return app.tasks[NAME]

    return bound


@pytest.fixture
def states(monkeypatch):
    """The states that a task reports, as they are stored."""
    seen = []

    def keep(task):
        store = task.backend.store_result

        def store_result(task_id, result, state, *args, **kwargs):
            seen.append((state, result))
            return store(task_id, result, state, *args, **kwargs)

        monkeypatch.setattr(task.backend, "store_result", store_result)
        return seen

    return keep


def test_a_sent_mail_says_so(smtp, send_email):
    server = smtp()
    result = send_email(server).apply(kwargs=MAIL)
    assert result.get() == {"to": BOB, "status": "sent"}
    assert f"Message-ID: <{result.id}@example.org>".encode() in server.mails[0].content


def test_the_arguments_may_be_given_by_position(smtp, send_email):
    assert send_email(smtp()).apply(args=list(MAIL.values())).get()["status"] == "sent"


def test_the_state_sending_shows_to_and_subject_and_no_body(smtp, send_email, states):
    task = send_email(smtp())
    seen = states(task)
    task.apply(kwargs=MAIL).get()
    assert ("SENDING", {"to": BOB, "subject": "Indexed"}) in seen


def test_an_invalid_recipient_is_a_result_and_not_retried(smtp, send_email):
    server = smtp({"RCPT": "550 5.1.1 no such user"})
    result = send_email(server).apply(kwargs=MAIL)
    assert result.get() == {"to": BOB, "status": "invalid_recipient"}
    assert server.connections == 1


@pytest.mark.parametrize("behaviour", ["421 4.3.2 later", "451 4.3.0 later", DROP])
def test_a_mail_is_sent_by_a_later_try_under_the_same_message_id(smtp, send_email, behaviour):
    server = smtp({"CONTENT": [behaviour, behaviour]})
    result = send_email(server).apply(kwargs=MAIL)
    assert result.get() == {"to": BOB, "status": "sent"}
    assert server.connections == 3
    ids = {
        line
        for mail in server.mails
        for line in mail.content.split(b"\r\n")
        if line.startswith(b"Message-ID:")
    }
    assert len(ids) == 1


def test_after_three_retries_the_deferral_is_the_failure(smtp, send_email):
    server = smtp({"MAIL": "451 4.3.0 later"})
    result = send_email(server).apply(kwargs=MAIL)
    with pytest.raises(MailDeferred, match="451"):
        result.get()
    assert server.connections == TRIES


def test_a_refused_mail_fails_at_once(smtp, send_email):
    server = smtp({"DATA": "554 5.7.1 no"})
    result = send_email(server).apply(kwargs=MAIL)
    with pytest.raises(MailRefused):
        result.get()
    assert server.connections == 1


@pytest.mark.parametrize(
    "change", [{"to": "nobody"}, {"subject": "a\r\nBcc: eve@example.org"}, {"body": "x" * 200_001}]
)
def test_an_invalid_payload_fails_at_once_without_a_connection(smtp, send_email, change):
    server = smtp()
    result = send_email(server).apply(kwargs={**MAIL, **change})
    with pytest.raises(InvalidPayload, match=next(iter(change))) as error:
        result.get()
    assert "eve@example.org" not in str(error.value)
    assert server.connections == 0


def test_the_soft_time_limit_means_a_retry(smtp, send_email, monkeypatch):
    tries = []

    def too_slow(*args):
        tries.append(args)
        raise SoftTimeLimitExceeded

    monkeypatch.setattr(tasks, "send_mail", too_slow)
    with pytest.raises(MailDeferred, match="soft time limit"):
        send_email(smtp()).apply(kwargs=MAIL).get()
    assert len(tries) == TRIES


def test_the_delay_doubles_from_the_declared_one(smtp, send_email):
    task = send_email(smtp())
    delays_s = [
        get_exponential_backoff_interval(
            int(task.retry_backoff), retries, maximum=600, full_jitter=task.retry_jitter
        )
        for retries in range(task.max_retries)
    ]
    assert task.default_retry_delay == 30
    assert delays_s == [30, 60, 120]


def test_the_task_declares_what_the_platform_promises(smtp, send_email):
    task = send_email(smtp())
    assert task.max_retries == 3
    assert task.rate_limit == "100/m"
    assert (task.soft_time_limit, task.time_limit) == (50, 60)
    assert task.acks_late
    assert task.track_started
    assert list(inspect.signature(task.run).parameters) == ["to", "subject", "body"]


def test_start_and_end_are_logged_without_address_subject_or_body(smtp, send_email, caplog):
    caplog.set_level(logging.INFO, logger="laneway")
    result = send_email(smtp()).apply(kwargs={**MAIL, "subject": "merger", "body": "is off"})
    ours = [record for record in caplog.records if record.name.startswith("laneway")]
    assert [record.getMessage() for record in ours] == [
        f"Mail {result.id}: sending, try 1",
        f"Mail {result.id}: sent",
    ]
