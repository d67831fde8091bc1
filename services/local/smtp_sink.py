"""The local platform's mail server: takes every mail, delivers none, keeps each as a file.

    python -m laneway.services.local.smtp_sink --bind 127.0.0.1:0 --folder mails

Once it listens it prints one line, `{"smtp": "127.0.0.1:PORT"}`. SIGTERM and SIGINT end it.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from time import time_ns
from typing import Any
from uuid import uuid4

MAIL_LIMIT_BYTES = 32 * 2**20


class MailFolder:
    """Keeps mails as `.eml` files, in the order in which they came; the last `most`, if given."""

    def __init__(self, folder: Path, most: int | None = None) -> None:
        self.folder = folder
        self.most = most
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, sender: str, recipients: Sequence[str], content: bytes) -> Path:
        """Write one mail, its envelope above its own headers; it appears whole or not at all."""
        envelope = [f"Return-Path: <{sender}>", *(f"Delivered-To: {name}" for name in recipients)]
        head = "".join(f"{line}\r\n" for line in envelope).encode()
        path = self.folder / f"{time_ns()}-{uuid4().hex[:8]}.eml"
        partial = path.with_suffix(".partial")
        partial.write_bytes(head + content)
        kept = partial.rename(path)
        if self.most is not None:
            for old in sorted(self.folder.glob("*.eml"))[: -self.most]:
                old.unlink(missing_ok=True)
        return kept

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        """Aiosmtpd's hook; its return value is the answer to the final dot."""
        del server, session
        try:
            await asyncio.to_thread(
                self.keep, envelope.mail_from or "", envelope.rcpt_tos, envelope.content
            )
        except OSError as error:
            return f"452 4.3.1 {self.folder.name} cannot be written: {error.strerror}"
        return "250 2.0.0 Kept"


async def serve(host: str, port: int, folder: Path, most: int | None = None) -> None:
    """Take mails until SIGTERM or SIGINT.

    Raises:
        OSError: `host:port` cannot be listened on, or the folder not be made.
    """
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    handler = MailFolder(folder, most)

    def protocol() -> asyncio.StreamReaderProtocol:
        # A host name given spares aiosmtpd a look-up that may block.
        smtp: asyncio.StreamReaderProtocol = SMTP(
            handler, hostname="localhost", data_size_limit=MAIL_LIMIT_BYTES, loop=loop
        )
        return smtp

    server = await loop.create_server(protocol, host, port)
    bound_host, bound_port = server.sockets[0].getsockname()[:2]
    sys.stdout.write(json.dumps({"smtp": f"{bound_host}:{bound_port}"}) + "\n")
    sys.stdout.flush()
    await ended.wait()
    # Not waited for: a client that keeps its connection would keep the sink.
    server.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sink; the exit code: 0 after a signal, 1 if it cannot listen or write."""
    parser = argparse.ArgumentParser(prog="smtp_sink", description="Keeps mails as .eml files.")
    parser.add_argument("--bind", type=_endpoint, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR")
    parser.add_argument("--most", type=int, metavar="MAILS", help="keep the last ones only")
    options = parser.parse_args(arguments)
    host, port = options.bind
    try:
        asyncio.run(serve(host, port, options.folder, options.most))
    except OSError as error:
        sys.stderr.write(
            f"The mail sink cannot listen on {host}:{port} or keep mails in {options.folder}: "
            f"{error}. Give another --bind or --folder.\n"
        )
        return 1
    return 0


def _endpoint(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT, such as 127.0.0.1:2525")
    return host, int(port)


if __name__ == "__main__":
    sys.exit(main())
