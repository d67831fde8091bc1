"""A real Redis for a test: on a free loopback port, in a folder of its own, ended by its pid."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from laneway.services.local.processes import free_port
from laneway.services.local.redis_server import redis_binary

START_LIMIT_S = 10.0
_chosen: list[Path] = []


def use_server(binary: Path) -> None:
    """Start this server from here on, instead of the first that is found."""
    _chosen[:] = [binary]


def server_binary() -> Path:
    """The server that tests start."""
    return _chosen[0] if _chosen else redis_binary()


class RedisServer:
    """One Redis process; `start` again after `kill` keeps its port and folder."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = {"appendonly": "no", "save": "", **options}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = [w for name, value in self._options.items() for w in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [
                server_binary(),
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self._folder),
                *words,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(
            self.url, decode_responses=True, password=self._options.get("requirepass")
        )

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _wait(self) -> None:
        deadline_s = time.monotonic() + START_LIMIT_S
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except redis.exceptions.ConnectionError:
                    if time.monotonic() > deadline_s:
                        raise
                    time.sleep(0.02)
                else:
                    return

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(10)
        self._process = None


@contextmanager
def running_redis(folder: Path, **options: str) -> Iterator[RedisServer]:
    """A started server with redis.conf options as keywords (`-` as `_`)."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, **{name.replace("_", "-"): v for name, v in options.items()})
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
