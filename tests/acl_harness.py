"""A Redis for a test in which nobody may do more than `laneway acl` lets its user do."""

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from laneway.tasks.broker.acl import DEFAULT_OFF_FILE, RedisVersion, User, file_line, rules
from laneway.tasks.broker.acl_roles import Scope, make_users
from laneway.tasks.queues import load_catalogue
from lesson_harness import forget_results
from redis_server import RedisServer, running_redis, told
from worker_harness import wait_for

KEDA = """
local type = redis.call('type', KEYS[1]).ok
local counts = {zset = 'zcard', set = 'scard', list = 'llen', hash = 'hlen', none = 'llen'}
return redis.call(counts[type], KEYS[1])
"""
"""What KEDA's Redis scaler runs."""


class GuardedRedis(RedisServer):
    """A server whose default user is off; `client` is the administrator's."""

    def client(self) -> "redis.Redis":
        return self.client_of("admin")

    @classmethod
    def at(cls, server: RedisServer) -> "GuardedRedis":
        """Another's server, seen as its users see it."""
        guarded = cls(server._folder)
        guarded.port, guarded.url = server.port, server.url
        return guarded

    def client_of(self, user: str) -> "redis.Redis":
        return redis.Redis.from_url(self.url_of(user), decode_responses=True)

    def url_of(self, user: str, database: int = 0) -> str:
        return f"redis://{user}:{password_of(user)}@127.0.0.1:{self.port}/{database}"

    def settings_of(self, user: str) -> dict[str, str]:
        """How a process of Laneway is told to log in as this user."""
        return {
            "broker_url": self.url,
            "broker_username": user,
            "broker_password": password_of(user),
            "result_url": self.url.removesuffix("/0") + "/1",
        }

    def denials(self) -> list[str]:
        """What was refused so far, to whom."""
        with self.client() as client:
            return list(map(told, client.acl_log(count=128)))


def password_of(user: str) -> str:
    return f"the password of {user}".replace(" ", "-")


def hashed(user: User) -> str:
    return f"#{sha256(password_of(user.name).encode()).hexdigest()}"


def version_of(server: RedisServer) -> RedisVersion:
    """What `laneway acl --redis` is to be told for this server; Valkey counts as 7.2."""
    with server.client() as client:
        major, minor = map(int, client.info("server")["redis_version"].split(".")[:2])
    if (major, minor) >= (7, 2):
        return "7.2"
    return "7.0" if major == 7 else "6.2"


def scope_of(catalogue: Path | None, **options: Any) -> Scope:
    found = load_catalogue(catalogue)
    return Scope(found, **{"lanes": tuple(found), **options})


def write_users(path: Path, scope: Scope, version: RedisVersion) -> None:
    lines = [file_line(u, rules(u, version), hashed(u)) for u in make_users(scope)]
    path.write_text("\n".join([DEFAULT_OFF_FILE, *lines, ""]))


@contextmanager
def guarded_redis(folder: Path, scope: Scope, **options: str) -> Iterator[GuardedRedis]:
    """A started server with the users of this scope."""
    with running_redis(folder / "plain") as plain:
        version = version_of(plain)
    file = folder / "users.acl"
    write_users(file, scope, version)
    server = GuardedRedis(folder, aclfile=str(file), **options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def close(app: Celery) -> None:
    forget_results(app)
    app.close()


def sig(app: Celery, task: str, *args: Any, queue: str = "mail", **options: Any) -> Any:
    return app.signature(task, args=args, options={"queue": queue, **options})


def ended(app: Celery, *ids: str) -> dict[str, str]:
    """The states of tasks once all have ended."""
    found = [app.AsyncResult(task_id) for task_id in ids]
    wait_for(lambda: all(result.ready() for result in found), "the ends of tasks")
    return {result.id: result.state for result in found}
