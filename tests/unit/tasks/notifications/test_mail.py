from email import message_from_bytes
from email.header import decode_header
from email.policy import SMTP

import pytest

from laneway.tasks.errors import MailDeferred, MailRefused
from laneway.tasks.notifications import connection
from laneway.tasks.notifications.mail import send_mail
from smtp_server import DROP, HANG

pytestmark = pytest.mark.unit

TASK_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
BOB = "bob@example.org"
SECRET_WORDS = "the merger is off"


def send(settings, to=BOB, subject="Indexed", body="Your document is indexed.\n", task_id=TASK_ID):
    return send_mail(settings, task_id, to, subject, body)


def parsed(server, index=-1):
    return message_from_bytes(server.mails[index].content, policy=SMTP)


def test_a_mail_arrives_with_its_envelope_and_headers(smtp, settings_for):
    server = smtp()
    assert send(settings_for(server)) == "sent"
    [mail] = server.mails
    assert (mail.sender, mail.recipient) == ("noreply@example.org", BOB)
    message = parsed(server)
    assert message["From"] == "Laneway <noreply@example.org>"
    assert message["To"] == BOB
    assert message["Subject"] == "Indexed"
    assert message["Date"].datetime is not None
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content() == "Your document is indexed.\r\n"


def test_the_client_presents_the_senders_domain_and_says_goodbye(smtp, settings_for):
    server = smtp()
    send(settings_for(server))
    assert server.commands[0] == "ehlo example.org"
    assert server.commands[-1].upper() == "QUIT"


def test_a_repeat_carries_the_same_message_id(smtp, settings_for):
    server = smtp()
    for _ in range(2):
        send(settings_for(server))
    send(settings_for(server), task_id="another")
    first, second, other = (parsed(server, index)["Message-ID"] for index in range(3))
    assert first == second == f"<{TASK_ID}@example.org>"
    assert other != first


def test_a_task_id_of_a_callers_choice_makes_a_valid_and_stable_message_id(smtp, settings_for):
    server = smtp()
    for task_id in ("order 17 <x>\r\nBcc: eve@example.org", "order 17 <x>\r\nBcc: eve@example.org"):
        send(settings_for(server), task_id=task_id)
    first, second = (parsed(server, index) for index in range(2))
    assert first["Message-ID"] == second["Message-ID"]
    local, _, domain = first["Message-ID"].strip("<>").partition("@")
    assert local.isalnum()
    assert domain == "example.org"
    assert first["Bcc"] is None


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Zürich, 東京 🚀", "Grüße aus 東京 🚀\n"),
        ("ü" * 900, "ü" * 20_000),
        ("x" * 900, "x" * 20_000),
        ("=?utf-8?q?literal?=", "From me\n.\n..dots\n.\n"),
        ("", ""),
        ("form feed", "page\x0cbreak\x00nul\x1b"),
    ],
)
def test_any_characters_travel_as_seven_bits_in_short_lines(smtp, settings_for, subject, body):
    server = smtp()
    assert send(settings_for(server), subject=subject, body=body) == "sent"
    content = server.mails[0].content
    assert content.isascii()
    assert b"\0" not in content
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = parsed(server)
    assert message.get_content().rstrip("\r\n") == body.replace("\n", "\r\n").rstrip("\r\n")
    if "=?" not in subject:
        assert message["Subject"] == subject


def test_a_subject_that_looks_encoded_arrives_as_the_characters_it_consists_of(smtp, settings_for):
    server = smtp()
    send(settings_for(server), subject="=?utf-8?q?literal?=")
    [line] = [
        line
        for line in server.mails[0].content.decode().split("\r\n")
        if line.startswith("Subject: ")
    ]
    [(text, charset)] = decode_header(line.removeprefix("Subject: "))
    assert text.decode(charset) == "=?utf-8?q?literal?="


@pytest.mark.parametrize(
    "subject",
    [
        "a\r\nBcc: eve@example.org",
        "a\nBcc: eve@example.org",
        "a\r\n\r\nBcc: eve@example.org",
        "a\u2028Bcc: eve@example.org",
        "a\x85Bcc: eve@example.org",
        "=?utf-8?q?a=0D=0ABcc:_eve@example.org?=",
        "=?utf-8?q?a=0ABcc:_eve@example.org?= " + "ü" * 80,
        "=?utf-8?b?YQ0KQmNjOiBldmVAZXhhbXBsZS5vcmc=?=",
    ],
)
def test_a_subject_cannot_add_a_header(smtp, settings_for, subject):
    server = smtp()
    assert send(settings_for(server), subject=subject) == "sent"
    names = parsed(server).keys()
    assert "Bcc" not in names
    assert len(names) == len(set(names)) == 9
    assert parsed(server).get_content() == "Your document is indexed.\r\n"


@pytest.mark.parametrize("to", ["bob@example.org\r\nRCPT TO:<eve@example.org>", "b@x.org\nX: y"])
def test_a_recipient_cannot_add_a_command(smtp, settings_for, to):
    server = smtp()
    with pytest.raises(ValueError, match="CR or LF"):
        send(settings_for(server), to=to)
    assert server.mails == []


@pytest.mark.parametrize("code", [501, 550, 551, 552, 553, 554])
def test_a_refused_recipient_is_final(smtp, settings_for, code):
    server = smtp(recipients={BOB: f"{code} 5.1.1 no such user"})
    assert send(settings_for(server)) == "invalid_recipient"
    assert server.mails == []
    assert send(settings_for(server), to="ann@example.org") == "sent"


@pytest.mark.parametrize("code", [421, 450, 451, 452])
def test_a_recipient_refused_for_now_is_deferred(smtp, settings_for, code):
    server = smtp(recipients={BOB: f"{code} 4.2.1 greylisted"})
    with pytest.raises(MailDeferred, match=f"RCPT TO.*{code} 4.2.1 greylisted"):
        send(settings_for(server))
    assert server.mails == []


def test_a_demand_for_a_login_says_nothing_about_the_recipient(smtp, settings_for):
    server = smtp({"RCPT": "530 5.7.0 authentication required"})
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_USERNAME"):
        send(settings_for(server))


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
@pytest.mark.parametrize("behaviour", ["421 4.3.2 shutting down", "451 4.3.0 later", DROP])
def test_a_server_that_cannot_now_defers_the_mail(smtp, settings_for, stage, behaviour):
    server = smtp({stage: behaviour})
    with pytest.raises(MailDeferred, match=rf"Mail server 127\.0\.0\.1:{server.port}.*tries again"):
        send(settings_for(server))


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT"])
def test_a_server_that_never_answers_defers_the_mail(smtp, settings_for, stage):
    server = smtp({stage: HANG})
    with pytest.raises(MailDeferred, match="timed out"):
        send(settings_for(server, smtp_timeout_s=0.2))


def test_a_lost_answer_to_the_final_dot_defers_a_mail_the_server_may_have(smtp, settings_for):
    server = smtp({"CONTENT": [DROP]})
    with pytest.raises(MailDeferred):
        send(settings_for(server))
    assert send(settings_for(server)) == "sent"
    first, second = (parsed(server, index)["Message-ID"] for index in range(2))
    assert first == second


@pytest.mark.parametrize("behaviour", ["500 what?", "421 4.3.2 bye", DROP, HANG])
def test_nothing_that_happens_to_quit_changes_the_fate_of_a_mail(
    smtp, settings_for, behaviour, monkeypatch
):
    monkeypatch.setattr(connection, "_GOODBYE_LIMIT_S", 0.1)
    server = smtp({"QUIT": behaviour})
    assert send(settings_for(server)) == "sent"
    assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("stage", "cure"),
    [
        ("CONNECT", "LANEWAY_SMTP_HOST"),
        ("EHLO", "LANEWAY_SMTP_FROM"),
        ("MAIL", "LANEWAY_SMTP_FROM"),
        ("DATA", "submit again"),
        ("CONTENT", "submit again"),
    ],
)
def test_any_other_refusal_is_final_and_names_the_cure(smtp, settings_for, stage, cure):
    server = smtp({stage: "554 5.7.1 not here"})
    with pytest.raises(MailRefused, match=rf"554 5\.7\.1.*{cure}"):
        send(settings_for(server))


def test_a_mail_too_large_for_the_server_is_refused(smtp, settings_for):
    server = smtp({"CONTENT": "552 5.3.4 too big"})
    with pytest.raises(MailRefused, match=r"552 5\.3\.4"):
        send(settings_for(server))


def test_errors_repeat_neither_address_nor_body_nor_what_the_server_quotes(smtp, settings_for):
    echo = f"{BOB} wrote {SECRET_WORDS}"
    errors = []
    for stage, code in [("RCPT", 450), ("RCPT", 530), ("MAIL", 550), ("CONTENT", 451)]:
        words = echo if stage == "CONTENT" else f"no <{BOB}> here"
        server = smtp({stage: f"{code} {words}"})
        with pytest.raises((MailDeferred, MailRefused)) as error:
            send(settings_for(server), body=SECRET_WORDS)
        errors.append(error)
    for error in errors:
        assert BOB not in str(error.value)
        assert SECRET_WORDS not in str(error.value)
        assert error.value.__cause__ is None
