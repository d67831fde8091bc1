"""What an answer of the mail server, or its absence, means for a mail: retried, or final."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from laneway.tasks.errors import LanewayError, MailDeferred, MailRefused

_SUCCESS = range(200, 300)
_FINAL = range(500, 600)
_LOGIN_WANTED = 530
_TEXT_LIMIT = 200
_ADDRESS = re.compile(r"\S+@\S+")
_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}\b")


class Step(StrEnum):
    """The steps of a conversation, by the command that the server answers."""

    CONNECT = "connect"
    EHLO = "EHLO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    MAIL = "MAIL FROM"
    RCPT = "RCPT TO"
    DATA = "DATA"


_CURES = {
    Step.CONNECT: "Check LANEWAY_SMTP_HOST, and that the server takes mail from here.",
    Step.EHLO: "Check that the server accepts the domain of LANEWAY_SMTP_FROM as a client's name.",
    Step.STARTTLS: "Let the server speak TLS, or set LANEWAY_SMTP_SECURITY to what it does speak.",
    Step.AUTH: "Correct LANEWAY_SMTP_USERNAME and LANEWAY_SMTP_PASSWORD, or unset both.",
    Step.MAIL: "Set LANEWAY_SMTP_FROM to an address the server lets this login send from.",
    Step.RCPT: "Set LANEWAY_SMTP_USERNAME and LANEWAY_SMTP_PASSWORD: the server wants a login.",
    Step.DATA: "Look the code up in the server's documentation, change the mail and submit again.",
}
_SHY_STEPS = (Step.AUTH, Step.DATA)
"""Where a server's text may repeat a login or the mail itself, and is not passed on."""


@contextmanager
def during(step: Step, place: str) -> Iterator[None]:
    """Translate what goes wrong within one step of a conversation with the server at `place`.

    Raises:
        MailDeferred: it may work in a moment.
        MailRefused: it will not work before somebody changes something.
    """
    try:
        yield
    except smtplib.SMTPResponseException as answer:
        # Without its cause: smtplib's error holds the server's whole text.
        raise _meaning(step, place, answer) from None
    except ssl.SSLCertVerificationError as error:
        raise MailRefused(
            f"{place}: its certificate is not trusted ({error.verify_message}). Set "
            "LANEWAY_SMTP_CA_FILE to the CA that issued it, and LANEWAY_SMTP_HOST to a name it "
            "was issued for."
        ) from None
    except smtplib.SMTPServerDisconnected as error:
        raise _deferred(step, place, str(error)) from error
    except smtplib.SMTPException as error:
        raise MailRefused(f"{place}: {step} is not possible ({error}) {_CURES[step]}") from None
    except OSError as error:
        if isinstance(error, ssl.SSLError) and error.reason == "WRONG_VERSION_NUMBER":
            raise MailRefused(
                f"{place}: does not speak TLS from the first byte. Set LANEWAY_SMTP_SECURITY to "
                "starttls, or LANEWAY_SMTP_PORT to the server's TLS port (often 465)."
            ) from None
        raise _deferred(step, place, str(error) or type(error).__name__) from error


def demand_success(reply: tuple[int, bytes]) -> None:
    """Raise smtplib's error for a reply that is no 2xx; `during` gives it its meaning."""
    if reply[0] not in _SUCCESS:
        raise smtplib.SMTPResponseException(*reply)


def refuses_recipient(code: int) -> bool:
    """Whether this answer to RCPT TO is about the recipient, for good.

    530 is none: it asks for a login and says nothing about the recipient.
    """
    return code in _FINAL and code != _LOGIN_WANTED


def _meaning(step: Step, place: str, answer: smtplib.SMTPResponseException) -> LanewayError:
    said = _said(step, answer)
    if answer.smtp_code in _FINAL:
        return MailRefused(f"{place}: refused {step} ({said}). {_CURES[step]}")
    return _deferred(step, place, said)


def _deferred(step: Step, place: str, reason: str) -> MailDeferred:
    return MailDeferred(
        f"{place}: did not complete {step} ({reason}). The task tries again; if it goes on, check "
        "that the server is up and reachable from here."
    )


def _said(step: Step, answer: smtplib.SMTPResponseException) -> str:
    """Code and text of an answer: one line, no address, no word of the mail."""
    raw = answer.smtp_error
    text = raw.decode("ascii", "replace") if isinstance(raw, bytes) else str(raw)
    if step in _SHY_STEPS:
        enhanced = _ENHANCED_CODE.match(text)
        text = enhanced.group() if enhanced else ""
    text = _ADDRESS.sub("<address>", " ".join(text.split()))[:_TEXT_LIMIT]
    return f"{answer.smtp_code} {text}".strip()
