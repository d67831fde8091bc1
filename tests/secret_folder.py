"""A Secret as Kubernetes mounts it, and a Redis whose password changes meanwhile."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
import redis

from redis_server import RedisServer, running_redis, told


class SecretFolder:
    """Files that are links into a folder that is a link: `write` swaps all of them at once."""

    def __init__(self, path: Path, **files: str) -> None:
        self.path = path
        self._numbers = count()
        self._files: dict[str, str] = {}
        path.mkdir()
        self.write(**files)

    def write(self, **files: str) -> None:
        """What kubelet does with a changed Secret."""
        version = self.path / f"..{next(self._numbers)}"
        version.mkdir()
        self._files |= files
        for name, text in self._files.items():
            (version / name).write_text(f"{text}\n")
        data, new = self.path / "..data", self.path / "..data_tmp"
        old = data.readlink() if data.is_symlink() else None
        new.symlink_to(version.name)
        new.replace(data)
        for name in self._files:
            if not (self.path / name).exists():
                (self.path / name).symlink_to(Path("..data") / name)
        if old is not None:
            shutil.rmtree(self.path / old)

    def write_plainly(self, **files: str) -> None:
        """What somebody does who has an editor: the files are files from then on."""
        for name, text in files.items():
            (self.path / name).unlink(missing_ok=True)
            (self.path / name).write_text(text)

    def forget(self, name: str) -> None:
        """Take a file away."""
        self._files.pop(name, None)
        (self.path / name).unlink()


class LockedRedis:
    """A Redis and the password of one of its users."""

    def __init__(self, server: RedisServer, password: str, user: str = "default") -> None:
        self.server, self.password, self.user = server, password, user

    @property
    def url(self) -> str:
        return self.server.url

    def add(self, password: str) -> None:
        """Let the user in by this one too."""
        with self.server.client() as admin:
            admin.execute_command("ACL", "SETUSER", self.user, f">{password}")

    def remove(self, password: str) -> None:
        """And by this one no longer; who is in stays in."""
        with self.server.client() as admin:
            admin.execute_command("ACL", "SETUSER", self.user, f"<{password}")

    def cut(self) -> None:
        """End every connection but one's own, so that all log in again."""
        with self.server.client() as admin:
            for kind in ("normal", "pubsub"):
                admin.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")

    def change(self, password: str) -> None:
        """Another password, and whoever is there has to know it."""
        self.add(password)
        self.remove(self.password)
        self.password = password
        self.cut()

    def listeners(self) -> int:
        """How many connections listen to a channel."""
        with self.server.client() as admin:
            return len(admin.client_list("pubsub"))

    def failed_logins(self) -> int:
        """How many were refused for their password."""
        with self.server.client() as admin:
            log = admin.acl_log(128)
        return sum(int(entry["count"]) for entry in log if entry["reason"] == "auth")

    def forget_failed_logins(self) -> None:
        """A guarded server's refusals fail a test; a login by an old password is none of them."""
        with suppress(redis.exceptions.ConnectionError), self.server.client() as admin:
            refused = [told(entry) for entry in admin.acl_log(128) if entry["reason"] != "auth"]
            assert refused == []
            admin.acl_log_reset()


@contextmanager
def locked_redis(folder: Path, password: str) -> Iterator[LockedRedis]:
    """A started server whose default user has a password."""
    with running_redis(folder, requirepass=password) as server:
        locked = LockedRedis(server, password)
        yield locked
        locked.forget_failed_logins()


def mounted(monkeypatch: pytest.MonkeyPatch, folder: Path, **files: str) -> SecretFolder:
    """A Secret where this process, and those that it starts, look for it."""
    secret = SecretFolder(folder, **files)
    monkeypatch.setenv("LANEWAY_SECRETS_DIR", str(folder))
    return secret
