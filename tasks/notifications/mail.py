"""One plain-text mail, composed and handed to the mail server."""

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import parseaddr
from hashlib import sha256
from typing import Literal

from laneway.tasks.errors import SettingsError
from laneway.tasks.notifications.connection import mail_server, place
from laneway.tasks.notifications.replies import Step, demand_success, during, refuses_recipient
from laneway.tasks.settings import Settings

MailStatus = Literal["sent", "invalid_recipient"]

# Seven-bit, so that servers without 8BITMIME take it too.
_POLICY = SMTP.clone(cte_type="7bit")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class _LiteralSubject(str):
    """A subject that holds `=?`, sent as the characters it consists of.

    EmailMessage would decode what looks like an encoded word, and a line break within it would
    begin a header of the caller's choice (CVE-2024-6923, in many Pythons in use).
    """

    __slots__ = ()
    name = "Subject"

    def fold(self, *, policy: Policy) -> str:
        encoded = Header(str(self), "utf-8", header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {encoded}{policy.linesep}"


def send_mail(settings: Settings, task_id: str, to: str, subject: str, body: str) -> MailStatus:
    """Hand one mail to the mail server of the settings.

    A repeat carries the same Message-ID. The server may have taken the mail although its answer
    was lost: such a mail is deferred and sent again, and the receiver knows it by that ID.

    Args:
        settings: the `smtp_` settings.
        task_id: same for every try of one mail.
        to: one ASCII address.
        subject: any characters; line breaks become spaces.
        body: plain text, any characters.

    Returns:
        "sent" once the server took the mail, "invalid_recipient" if it refuses the recipient
        for good.

    Raises:
        MailDeferred: not now (SMTP 4xx, network, time-out): try again.
        MailRefused: not at all (other SMTP 5xx, certificate, login).
        SettingsError: a mail setting cannot be used.
    """
    sender = _sender(settings)
    content = compose(sender, task_id, to, subject, body).as_bytes()
    where = place(settings)
    with mail_server(settings, client_name=sender.domain) as server:
        size = [f"size={len(content)}"] if server.has_extn("size") else []
        with during(Step.MAIL, where):
            demand_success(server.mail(sender.addr_spec, size))
        with during(Step.RCPT, where):
            reply = server.rcpt(to)
            if refuses_recipient(reply[0]):
                return "invalid_recipient"
            demand_success(reply)
        with during(Step.DATA, where):
            demand_success(server.data(content))
    return "sent"


def compose(sender: Address, task_id: str, to: str, subject: str, body: str) -> EmailMessage:
    """The mail as it travels: seven-bit, dated, with a Message-ID made of the task's id."""
    message = EmailMessage(policy=_POLICY)
    message["Message-ID"] = f"<{_local_part(task_id)}@{sender.domain}>"
    message["Date"] = datetime.now(UTC)
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = _subject(subject)
    # Keeps out-of-office replies away (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(body, cte="base64" if _CONTROL.search(body) else None)
    return message


def _subject(text: str) -> str:
    line = " ".join(text.splitlines())
    return _LiteralSubject(line) if "=?" in line else line


def _local_part(task_id: str) -> str:
    """The task's id, or its digest if a caller chose an id that no Message-ID can hold."""
    return task_id if _PLAIN_ID.fullmatch(task_id) else sha256(task_id.encode()).hexdigest()


def _sender(settings: Settings) -> Address:
    name, address = parseaddr(settings.smtp_from)
    try:
        sender = Address(name, addr_spec=address)
    except (MessageError, ValueError, IndexError):
        sender = Address()
    if not (sender.username and sender.domain and address.isascii()):
        raise SettingsError(
            f"LANEWAY_SMTP_FROM: {settings.smtp_from!r} is no ASCII e-mail address. Set it to one, "
            "such as noreply@example.org or Laneway <noreply@example.org>."
        )
    return sender
