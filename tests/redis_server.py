"""A real Redis for a test: on a free loopback port, in a folder of its own, ended by its pid."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import redis

from laneway.services.local.processes import free_port
from laneway.services.local.redis_server import redis_binary

START_LIMIT_S = 10.0
ADMIN = "admin"
"""The user of a guarded server that may do everything; its password is the same."""

_chosen: list[Path] = []
_rights: list[list[str]] = []
_guarded: "set[RedisServer]" = set()
_refusals: list[str] = []


def use_server(binary: Path) -> None:
    """Start this server from here on, instead of the first that is found."""
    _chosen[:] = [binary]


def server_binary() -> Path:
    """The server that tests start."""
    return _chosen[0] if _chosen else redis_binary()


def server_version() -> tuple[int, ...]:
    """Its version, as it says itself: `… v=6.2.14 …`."""
    told = subprocess.run(
        [server_binary(), "--version"], capture_output=True, text=True, check=True
    )
    numbers = told.stdout.partition(" v=")[2].partition(" ")[0]
    return tuple(map(int, numbers.split(".")))


def guard(rights: list[str]) -> None:
    """Let the default user of servers that start from here on do no more than these rules allow."""
    _rights[:] = [rights]


def take_refusals() -> list[str]:
    """What guarded servers refused to anybody since this was asked before."""
    for server in tuple(_guarded):
        server.note_refusals()
    taken = list(_refusals)
    _refusals.clear()
    return taken


def told(entry: dict[str, Any]) -> str:
    """An entry of Redis's ACL LOG in a line."""
    return (
        f"{entry['username']}: {entry['reason']} {entry['object']} "
        f"({entry['context']}, {entry['client-info'].get('cmd')}, x{entry['count']})"
    )


class RedisServer:
    """One Redis process; `start` again after `kill` keeps its port and folder.

    Args:
        folder: where it writes.
        guarded: whether `guard` binds those who come by `url`; `admin_url` is for the test itself.
        options: of redis.conf.
    """

    def __init__(self, folder: Path, *, guarded: bool = True, **options: str) -> None:
        self.port = free_port()
        self.url = self.admin_url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._options = {"appendonly": "no", "save": "", **options}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_guarded = guarded and bool(_rights) and "aclfile" not in options
        if self._is_guarded:
            self.admin_url = f"redis://{ADMIN}:{ADMIN}@127.0.0.1:{self.port}/0"
        elif "requirepass" in options:
            self.admin_url = f"redis://:{options['requirepass']}@127.0.0.1:{self.port}/0"

    def _write_users(self) -> None:
        password = self._options.pop("requirepass", None)
        word = "nopass" if password is None else f">{password}"
        file = self._folder / "users.acl"
        file.write_text(
            f"user default on {word} resetkeys resetchannels -@all {' '.join(_rights[0])}\n"
            f"user {ADMIN} on >{ADMIN} ~* &* +@all\n"
        )
        self._options["aclfile"] = str(file)

    def note_refusals(self) -> None:
        """Keep for `take_refusals` what was refused; a server that is away says nothing."""
        with suppress(redis.exceptions.ConnectionError), self.client() as client:
            log = client.acl_log(count=128)
            _refusals.extend(told(entry) for entry in log if entry["username"] == "default")
            client.acl_log_reset()

    def start(self) -> None:
        if self._is_guarded:
            if "aclfile" not in self._options:
                self._write_users()
            _guarded.add(self)
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
        return redis.Redis.from_url(self.admin_url, decode_responses=True)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        if self in _guarded and self._process is not None:
            self.thaw()
            self.note_refusals()
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
        _guarded.discard(self)
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        self._process.wait(10)
        self._process = None


@contextmanager
def running_redis(folder: Path, *, guarded: bool = True, **options: str) -> Iterator[RedisServer]:
    """A started server with redis.conf options as keywords (`-` as `_`)."""
    folder.mkdir(parents=True, exist_ok=True)
    redis_conf = {name.replace("_", "-"): v for name, v in options.items()}
    server = RedisServer(folder, guarded=guarded, **redis_conf)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
