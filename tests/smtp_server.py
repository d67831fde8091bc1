"""A real SMTP server on loopback that follows a script: what it answers, drops or never answers.

A script maps a stage to a behaviour. Stages are CONNECT, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA
(the command), CONTENT (after the final dot) and QUIT. A behaviour is a reply such as
"451 4.3.0 later", or DROP, HANG or DRIP; a list of them is used up one at a time.
"""

import base64
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DROP = "drop the connection"
HANG = "never answer"
DRIP = "answer without end, a line at a time"

Script = Mapping[str, str | list[str]]


class _Gone(Exception):
    """The conversation is over."""


@dataclass(frozen=True)
class Mail:
    """A mail whose final dot arrived."""

    sender: str
    recipient: str
    content: bytes
    encrypted: bool
    login: str | None


@dataclass
class SmtpServer:
    """The server; a context manager that listens on a free port of 127.0.0.1.

    `starttls` offers STARTTLS, `tls` speaks TLS from the first byte; both need `context`.
    `credentials` maps user to password; if given, AUTH is offered and demanded.
    """

    script: Script = field(default_factory=dict)
    recipients: Script = field(default_factory=dict)
    context: ssl.SSLContext | None = None
    starttls: bool = False
    tls: bool = False
    credentials: Mapping[str, str] | None = None
    mails: list[Mail] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._used: dict[tuple[str, str], int] = {}
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def behaviour(self, stage: str, default: str, key: str = "") -> str:
        """What the script says for this stage, or for this recipient."""
        entry = self.recipients.get(key, default) if key else self.script.get(stage, default)
        if isinstance(entry, str):
            return entry
        turn = self._used.get((stage, key), 0)
        self._used[stage, key] = turn + 1
        return entry[turn] if turn < len(entry) else default

    def stopped(self, wait_s: float) -> bool:
        return self._stop.wait(wait_s)

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=_Conversation(self, peer).run, daemon=True)
            self._threads.append(thread)
            thread.start()


class _Conversation:
    def __init__(self, server: SmtpServer, peer: socket.socket) -> None:
        self.server, self.peer = server, peer
        self.sender = self.recipient = ""
        self.login: str | None = None
        self.encrypted = False
        self.handlers: dict[str, Callable[[str], None]] = {
            "EHLO": self.ehlo,
            "HELO": self.ehlo,
            "STARTTLS": self.starttls,
            "AUTH": self.auth,
            "MAIL": self.mail,
            "RCPT": self.rcpt,
            "DATA": self.data,
            "QUIT": self.quit,
        }

    def run(self) -> None:
        try:
            self.peer.settimeout(30)
            if self.server.tls:
                self.encrypt()
            self.lines = self.peer.makefile("rb")
            self.play("CONNECT", "220 test ESMTP")
            while True:
                line = self.read_line()
                self.server.commands.append(line)
                verb, _, rest = line.partition(" ")
                self.handlers.get(verb.upper(), self.unknown)(rest)
        except (_Gone, OSError, ValueError):
            pass
        finally:
            with suppress(OSError):
                self.peer.shutdown(socket.SHUT_RDWR)
            if hasattr(self, "lines"):
                self.lines.close()
            self.peer.close()

    def encrypt(self) -> None:
        assert self.server.context is not None
        self.peer = self.server.context.wrap_socket(self.peer, server_side=True)
        self.encrypted = True

    def read_line(self) -> str:
        line = self.lines.readline()
        if not line:
            raise _Gone
        return line.decode().rstrip("\r\n")

    def say(self, text: str) -> None:
        self.peer.sendall(text.encode() + b"\r\n")

    def play(self, stage: str, default: str, key: str = "") -> bool:
        """Behave as scripted; whether the reply was a success."""
        behaviour = self.server.behaviour(stage, default, key)
        if behaviour == DROP:
            raise _Gone
        if behaviour == HANG:
            self.lines.read(1)  # until the client goes
            raise _Gone
        if behaviour == DRIP:
            while not self.server.stopped(0.02):
                self.say("250-and")
            raise _Gone
        self.say(behaviour)
        if behaviour.startswith("421"):
            raise _Gone
        return behaviour[0] in "23"

    def unknown(self, _: str) -> None:
        self.say("500 5.5.1 unknown command")

    def ehlo(self, _: str) -> None:
        extensions = ["test", "8BITMIME", "SIZE 1000000"]
        if self.server.starttls and not self.encrypted:
            extensions.append("STARTTLS")
        if self.server.credentials is not None:
            extensions.append("AUTH PLAIN LOGIN")
        lines = [f"250-{name}" for name in extensions[:-1]] + [f"250 {extensions[-1]}"]
        self.play("EHLO", "\r\n".join(lines))

    def starttls(self, _: str) -> None:
        if self.play("STARTTLS", "220 go ahead"):
            self.lines.close()
            self.encrypt()
            self.lines = self.peer.makefile("rb")

    def auth(self, rest: str) -> None:
        method, _, encoded = rest.partition(" ")
        first = base64.b64decode(encoded).decode()
        if method == "LOGIN":
            self.say("334 UGFzc3dvcmQ6")
            user, password = first, base64.b64decode(self.read_line()).decode()
        else:
            _, user, password = first.split("\0")
        known = (self.server.credentials or {}).get(user) == password
        reply = "235 2.7.0 welcome" if known else f"535 5.7.8 no: {user} {password}"
        if self.play("AUTH", reply):
            self.login = user

    def mail(self, rest: str) -> None:
        self.sender = _address(rest)
        demands = self.server.credentials is not None and self.login is None
        self.play("MAIL", "530 5.7.0 log in first" if demands else "250 2.1.0 ok")

    def rcpt(self, rest: str) -> None:
        self.recipient = _address(rest)
        key = self.recipient if self.recipient in self.server.recipients else ""
        self.play("RCPT", "250 2.1.5 ok", key)

    def data(self, _: str) -> None:
        if not self.play("DATA", "354 go ahead"):
            return
        lines = []
        while (line := self.lines.readline()) != b".\r\n":
            if not line:
                raise _Gone
            lines.append(line.removeprefix(b"."))
        mail = Mail(self.sender, self.recipient, b"".join(lines), self.encrypted, self.login)
        self.server.mails.append(mail)
        self.play("CONTENT", "250 2.0.0 taken")

    def quit(self, _: str) -> None:
        self.play("QUIT", "221 2.0.0 bye")
        raise _Gone


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def make_authority(folder: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """A CA of its own and a server certificate for `host`: the CA's file, the server's context."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca_name = x509.Name.from_rfc4514_string("CN=test authority")
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
         "encipher_only", "decipher_only", "digital_signature"), False
    )  # fmt: skip
    ca = _certificate(
        ca_name, ca_name, ca_key.public_key(),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), True),
        (x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key()), False),
    ).sign(ca_key, hashes.SHA256())  # fmt: skip
    leaf = _certificate(
        x509.Name.from_rfc4514_string("CN=test server"), ca_name, key.public_key(),
        (x509.SubjectAlternativeName([_general_name(host)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), False),
    ).sign(ca_key, hashes.SHA256())  # fmt: skip
    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    pem = serialization.Encoding.PEM
    ca_file.write_bytes(ca.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + leaf.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return ca_file, context


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: Any, *extensions: tuple[x509.ExtensionType, bool]
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder
