"""The way to the mail server: opened, secured and logged in, within a time limit."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from typing import Any

from laneway.tasks.errors import SettingsError
from laneway.tasks.notifications.replies import Step, demand_success, during
from laneway.tasks.settings import Settings

CONVERSATION_LIMIT_S = 40.0
"""The whole conversation; below the task's soft limit, so that a slow server means a retry."""

_GOODBYE_LIMIT_S = 1.0


class _BoundedSmtp(smtplib.SMTP):
    """smtplib bounds each read; this bounds the sum, also of a server that drips bytes."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._deadline_s = monotonic() + CONVERSATION_LIMIT_S
        self._timer = Timer(CONVERSATION_LIMIT_S, self._cut)
        self._timer.daemon = True
        self._timer.start()
        try:
            super().__init__(*args, **options)
        except BaseException:
            self.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        # The timer may have struck while there was no connected socket to cut.
        if monotonic() > self._deadline_s:
            self.close()
            raise smtplib.SMTPServerDisconnected(f"no end after {CONVERSATION_LIMIT_S:g} s")
        return super().getreply()

    def close(self) -> None:
        self._timer.cancel()
        super().close()

    def _cut(self) -> None:
        if self.sock is not None:
            with suppress(OSError):
                # The plain shutdown: that of a TLS socket would pull it from under the reader.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


class _BoundedSmtpOverTls(_BoundedSmtp, smtplib.SMTP_SSL):
    pass


@contextmanager
def mail_server(settings: Settings, client_name: str) -> Iterator[smtplib.SMTP]:
    """A server that is ready for MAIL FROM; it is left politely, and closed in any case.

    Args:
        settings: the `smtp_` settings.
        client_name: what EHLO presents; a name of our own, because looking one up may block.

    Raises:
        MailDeferred: the server cannot be reached, or does not serve at the moment.
        MailRefused: certificate, encryption or login stand in the way.
        SettingsError: the CA file or the login cannot be used.
    """
    login = _login(settings)
    server = _connect(settings, client_name)
    try:
        _secure(server, settings)
        if login is not None:
            with during(Step.AUTH, place(settings)):
                server.login(*login)
        yield server
    finally:
        _leave(server)


def place(settings: Settings) -> str:
    """How messages call the server."""
    return f"Mail server {settings.smtp_host}:{settings.smtp_port}"


def _connect(settings: Settings, client_name: str) -> smtplib.SMTP:
    options: dict[str, Any] = {
        "host": settings.smtp_host,
        "port": settings.smtp_port,
        "local_hostname": client_name,
        "timeout": min(settings.smtp_timeout_s, CONVERSATION_LIMIT_S),
    }
    if settings.smtp_security == "tls":
        context = _tls_context(settings)
        with during(Step.CONNECT, place(settings)):
            return _BoundedSmtpOverTls(**options, context=context)
    with during(Step.CONNECT, place(settings)):
        return _BoundedSmtp(**options)


def _secure(server: smtplib.SMTP, settings: Settings) -> None:
    """EHLO, then STARTTLS and EHLO again if the settings demand it."""
    where = place(settings)
    with during(Step.EHLO, where):
        server.ehlo_or_helo_if_needed()
    if settings.smtp_security != "starttls":
        return
    context = _tls_context(settings)
    with during(Step.STARTTLS, where):
        server.starttls(context=context)
    with during(Step.EHLO, where):
        demand_success(server.ehlo())


def _tls_context(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.smtp_ca_file)
    except OSError as error:
        raise SettingsError(
            f"LANEWAY_SMTP_CA_FILE: {settings.smtp_ca_file} cannot be used ({error.strerror}). "
            "Set it to a readable file of PEM certificates, or unset it for the system's."
        ) from None


def _login(settings: Settings) -> tuple[str, str] | None:
    if settings.smtp_username is None:
        return None
    if settings.smtp_password is None:
        raise SettingsError(
            "LANEWAY_SMTP_USERNAME is set, LANEWAY_SMTP_PASSWORD is not. Set both or none."
        )
    login = settings.smtp_username, settings.smtp_password.get_secret_value()
    if not all(part.isascii() for part in login):
        # smtplib would put the password into the arguments of its error.
        raise SettingsError(
            "LANEWAY_SMTP_USERNAME or LANEWAY_SMTP_PASSWORD holds characters that SMTP cannot "
            "carry. Choose a login of ASCII characters."
        )
    return login


def _leave(server: smtplib.SMTP) -> None:
    # The mail's fate is settled: nothing that happens to QUIT may change it.
    with suppress(smtplib.SMTPException, OSError):
        if server.sock is not None:
            server.sock.settimeout(_GOODBYE_LIMIT_S)
            server.quit()
    server.close()
