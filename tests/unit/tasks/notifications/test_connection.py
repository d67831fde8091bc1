import smtplib

import pytest

from laneway.tasks.builtin import BUILTIN_TASKS
from laneway.tasks.errors import MailDeferred, MailRefused, SettingsError
from laneway.tasks.notifications import connection
from laneway.tasks.notifications.mail import send_mail
from smtp_server import DRIP, DROP

pytestmark = pytest.mark.unit

LOGIN = {"smtp_username": "laneway", "smtp_password": "correct horse"}


def send(settings):
    return send_mail(settings, "id-1", "bob@example.org", "Indexed", "Done.")


def test_nobody_listening_defers_the_mail(smtp, settings_for):
    server = smtp()
    settings = settings_for(server)
    server.__exit__()
    with pytest.raises(MailDeferred, match="refused"):
        send(settings)


def test_an_unknown_host_defers_the_mail(smtp, settings_for):
    with pytest.raises(MailDeferred, match=r"no-such-host\.invalid"):
        send(settings_for(smtp(), smtp_host="no-such-host.invalid"))


def test_starttls_encrypts_the_mail(smtp, settings_for, authority):
    ca_file, context = authority
    server = smtp(context=context, starttls=True)
    assert send(settings_for(server, smtp_security="starttls", smtp_ca_file=ca_file)) == "sent"
    assert server.mails[0].encrypted


def test_tls_from_the_first_byte_encrypts_the_mail(smtp, settings_for, authority):
    ca_file, context = authority
    server = smtp(context=context, tls=True)
    assert send(settings_for(server, smtp_security="tls", smtp_ca_file=ca_file)) == "sent"
    assert server.mails[0].encrypted


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_of_an_unknown_authority_is_final(smtp, settings_for, authority, security):
    server = smtp(context=authority[1], **{security: True})
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_CA_FILE"):
        send(settings_for(server, smtp_security=security))
    assert server.mails == []


def test_a_certificate_for_another_name_is_final(smtp, settings_for, authority):
    ca_file, context = authority
    server = smtp(context=context, starttls=True)
    changes = {"smtp_security": "starttls", "smtp_ca_file": ca_file, "smtp_host": "localhost"}
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_HOST"):
        send(settings_for(server, **changes))


def test_starttls_that_is_not_offered_is_final_and_nothing_is_sent_in_the_clear(smtp, settings_for):
    server = smtp()
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_SECURITY"):
        send(settings_for(server, smtp_security="starttls"))
    assert not any(command.upper().startswith("MAIL") for command in server.commands)


@pytest.mark.parametrize(
    ("reply", "error"),
    [("454 4.7.0 later", MailDeferred), (DROP, MailDeferred), ("501 5.5.4 no", MailRefused)],
)
def test_starttls_that_fails_follows_the_servers_answer(
    smtp, settings_for, authority, reply, error
):
    server = smtp({"STARTTLS": reply}, context=authority[1], starttls=True)
    with pytest.raises(error):
        send(settings_for(server, smtp_security="starttls"))


def test_tls_to_a_server_that_speaks_plainly_is_final(smtp, settings_for):
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_SECURITY"):
        send(settings_for(smtp(), smtp_security="tls"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_a_settings_error(smtp, settings_for, tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    server = smtp(starttls=True)
    with pytest.raises(SettingsError, match="LANEWAY_SMTP_CA_FILE"):
        send(settings_for(server, smtp_security="starttls", smtp_ca_file=path))


def test_a_login_is_used(smtp, settings_for):
    server = smtp(credentials={"laneway": "correct horse"})
    assert send(settings_for(server, **LOGIN)) == "sent"
    assert server.mails[0].login == "laneway"


def test_a_login_travels_encrypted_after_starttls(smtp, settings_for, authority):
    ca_file, context = authority
    server = smtp(context=context, starttls=True, credentials={"laneway": "correct horse"})
    tls = {"smtp_security": "starttls", "smtp_ca_file": ca_file}
    assert send(settings_for(server, **LOGIN, **tls)) == "sent"
    assert server.mails[0].encrypted
    assert server.mails[0].login == "laneway"


def test_a_failed_login_is_final_and_keeps_the_password_to_itself(smtp, settings_for):
    server = smtp(credentials={"laneway": "another"})
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_PASSWORD") as error:
        send(settings_for(server, **LOGIN))
    assert "correct horse" not in str(error.value)
    assert error.value.__cause__ is None


@pytest.mark.parametrize("reply", ["454 4.7.0 later", "421 4.3.2 bye", DROP])
def test_a_login_that_fails_for_now_is_deferred(smtp, settings_for, reply):
    server = smtp({"AUTH": [reply, reply]}, credentials={"laneway": "correct horse"})
    with pytest.raises(MailDeferred):
        send(settings_for(server, **LOGIN))


def test_a_login_the_server_does_not_offer_is_final(smtp, settings_for):
    with pytest.raises(MailRefused, match="LANEWAY_SMTP_USERNAME"):
        send(settings_for(smtp(), **LOGIN))


def test_a_missing_login_is_final(smtp, settings_for):
    server = smtp(credentials={"laneway": "correct horse"})
    with pytest.raises(MailRefused, match="530"):
        send(settings_for(server))


@pytest.mark.parametrize(
    "changes",
    [
        {"smtp_password": None, "smtp_username": "laneway"},
        {"smtp_password": "geheimnisträger", "smtp_username": "laneway"},
        {"smtp_from": "nobody"},
        {"smtp_from": "@example.org"},
        {"smtp_from": "jürgen@example.org"},
    ],
)
def test_mail_settings_that_cannot_be_used_name_the_setting(smtp, settings_for, changes):
    server = smtp()
    with pytest.raises(SettingsError, match=f"LANEWAY_{next(iter(changes)).upper()}") as error:
        send(settings_for(server, **changes))
    assert "geheimnis" not in str(error.value)
    assert server.connections == 0


def test_no_connection_stays_open(smtp, settings_for):
    server = smtp({"MAIL": ["451 later", "550 never"]})
    for _ in range(3):
        try:
            send(settings_for(server))
        except (MailDeferred, MailRefused):
            continue
    assert server.connections == 3
    assert server.commands.count("quit") + server.commands.count("QUIT") == 3


def test_smtplib_is_not_told_to_wait_without_end(smtp, settings_for):
    server = smtp()
    with connection.mail_server(settings_for(server, smtp_timeout_s=7), "example.org") as session:
        assert isinstance(session, smtplib.SMTP)
        assert session.sock.gettimeout() == 7


@pytest.mark.parametrize("stage", ["CONNECT", "EHLO", "RCPT", "CONTENT"])
def test_a_server_that_drips_its_answer_is_cut_off(smtp, settings_for, stage, monkeypatch):
    monkeypatch.setattr(connection, "CONVERSATION_LIMIT_S", 0.3)
    server = smtp({stage: DRIP})
    with pytest.raises(MailDeferred):
        send(settings_for(server))


def test_a_server_that_drips_over_tls_is_cut_off(smtp, settings_for, authority, monkeypatch):
    monkeypatch.setattr(connection, "CONVERSATION_LIMIT_S", 0.5)
    ca_file, context = authority
    server = smtp({"RCPT": DRIP}, context=context, tls=True)
    with pytest.raises(MailDeferred):
        send(settings_for(server, smtp_security="tls", smtp_ca_file=ca_file))


def test_no_step_begins_after_the_limit_of_the_conversation(smtp, settings_for, monkeypatch):
    server = smtp()
    clock = iter([0.0])
    monkeypatch.setattr(connection, "monotonic", lambda: next(clock, 1_000.0))
    with pytest.raises(MailDeferred):
        send(settings_for(server, smtp_timeout_s=5))
    assert server.mails == []


def test_the_conversation_ends_before_the_tasks_soft_limit():
    soft_limit_s = BUILTIN_TASKS["notifications.send_email"].soft_time_limit_s
    assert soft_limit_s > connection.CONVERSATION_LIMIT_S + connection._GOODBYE_LIMIT_S
