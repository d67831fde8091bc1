"""A real S3 server on loopback that can go away and come back with its data."""

import selectors
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import boto3

ACCESS_KEY = "laneway-test"
SECRET_KEY = "laneway-test-secret"
BUCKET = "laneway"
_START_LIMIT_S = 60.0


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class S3Server:
    """versitygw if `binary` is given, else moto's server. A context manager with one bucket.

    moto keeps its data in memory, so it stays up behind a forwarder that goes away for it;
    versitygw is killed and started anew over the same folder.
    """

    folder: Path
    binary: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _forwarder: "Forwarder | None" = None
    _port: int = field(default_factory=free_port)

    @property
    def endpoint(self) -> str:
        """Where clients reach it."""
        port = self._port if self._forwarder is None else self._forwarder.port
        return f"http://127.0.0.1:{port}"

    def settings(self, prefix: str) -> dict[str, Any]:
        """The storage settings of a Laneway that keeps its data below `prefix`."""
        return {
            "storage_url": f"s3://{BUCKET}/{prefix}",
            "storage_endpoint": self.endpoint,
            "storage_access_key": ACCESS_KEY,
            "storage_secret_key": SECRET_KEY,
        }

    def keys(self, prefix: str) -> list[str]:
        """The names of the objects below a prefix."""
        listed = self._client().list_objects_v2(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def go_away(self) -> None:
        """Stop answering at once, in the middle of whatever is going on."""
        if self._forwarder is not None:
            self._forwarder.close()
        else:
            self._kill()

    def come_back(self) -> None:
        """Answer again, with all data and on the same port."""
        if self._forwarder is not None:
            self._forwarder = Forwarder(self._port, self._forwarder.port)
        else:
            self._start()

    def __enter__(self) -> Self:
        self._start()
        if self.binary is None:
            self._forwarder = Forwarder(self._port)
        client = self._client()
        client.create_bucket(Bucket=BUCKET)
        client.close()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._forwarder is not None:
            self._forwarder.close()
        self._kill()

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name="us-east-1",
        )

    def _start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log)
        deadline = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/", timeout=1):
                    return
            except urllib.error.HTTPError as error:
                error.close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError((self.folder / "server.log").read_text())

    def _command(self) -> list[str]:
        if self.binary is None:
            server = shutil.which("moto_server") or str(_beside_python("moto_server"))
            return [server, "-H", "127.0.0.1", "-p", str(self._port)]
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        return [str(self.binary), *keys, "--port", f"127.0.0.1:{self._port}", "posix", str(data)]

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _beside_python(name: str) -> Path:
    import sys

    return Path(sys.executable).with_name(name)


class Forwarder:
    """Hands every connection on to `target`; closing it cuts all of them."""

    def __init__(self, target: int, port: int = 0) -> None:
        self._target = target
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._listener.settimeout(0.05)
        self.port = int(self._listener.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        self._closing.set()
        for thread in list(self._threads):
            thread.join()

    def _accept(self) -> None:
        with self._listener:
            while not self._closing.is_set():
                with suppress(TimeoutError):
                    client, _ = self._listener.accept()
                    thread = threading.Thread(target=self._forward, args=(client,))
                    thread.start()
                    self._threads.append(thread)

    def _forward(self, client: socket.socket) -> None:
        client.settimeout(None)
        with (
            client,
            socket.create_connection(("127.0.0.1", self._target)) as server,
            selectors.DefaultSelector() as selector,
            suppress(OSError),
        ):
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._closing.is_set():
                for ready, _ in selector.select(0.05):
                    data = ready.fileobj.recv(65_536)  # type: ignore[union-attr]
                    if not data:
                        return
                    ready.data.sendall(data)
