"""Results in one round trip.

Celery's own backend reads a task's state before it writes the next, so as not to overwrite a
success, and writes in a transaction: two trips, on each of which the task waits. Here a script does
both. The layout in Redis and what readers see are Celery's. That a task has begun is stored by another
thread, and not for a task of a moment: see `beginnings.py`.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from threading import get_ident
from typing import Any

from celery.backends.redis import RedisBackend
from kombu.utils.encoding import bytes_to_str
from redis.exceptions import NoScriptError, RedisError

from laneway.tasks.broker.beginnings import BEGINNINGS
from laneway.tasks.broker.client import without_password
from laneway.tasks.broker.credentials import credentials_of
from laneway.tasks.broker.scripting import run, script
from laneway.tasks.broker.sentinel import connect_sentinel
from laneway.tasks.broker.transport import new_connection
from laneway.tasks.redis_urls import is_sentinel, without_login
from laneway.tasks.settings_urls import Access

STORE = script("store_result")
LARGEST_BYTES = RedisBackend._MAX_STR_VALUE_SIZE  # noqa: SLF001 - Redis's own limit


def result_backend(access: Access) -> dict[str, Any]:
    """Celery's configuration for results in this Redis."""
    kind = SentinelResultBackend if is_sentinel(access.url) else ResultBackend
    credentials = credentials_of(access)
    url = access.url if credentials is None else without_login(access.url)
    return {
        "result_backend": f"{__name__}:{kind.__name__}+{url}",
        "redis_backend_credential_provider": credentials,
    }


class ResultBackend(RedisBackend):
    """Celery's Redis backend with another way to store."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections: dict[tuple[int, int], Any] = {}
        """By process and thread, each its own."""

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        if state == "STARTED" and BEGINNINGS.wanted:
            begun = (task_id, result, state, traceback, request)
            BEGINNINGS.note(task_id, partial(self._try_to_set, begun))
        else:
            BEGINNINGS.drop(task_id)
            found = self._stored(task_id, result, state, traceback, request)
            self.ensure(self._set_unless_done, found)
        return result

    def _stored(
        self, task_id: str, result: Any, state: str, traceback: str | None, request: Any
    ) -> tuple[str, str | bytes, int]:
        """Key, value and expiry (seconds, 0 for none) of a state."""
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        value = self.encode({**meta, "task_id": bytes_to_str(task_id)})
        if len(value) > LARGEST_BYTES:
            raise ValueError(
                f"The result of {task_id} has {len(value)} bytes, more than Redis stores. Return a "
                "reference to it instead, or ignore_result."
            )
        expires_s = self.expires if state != "FAILURE" else self.failure_expires
        return bytes_to_str(self.get_key_for_task(task_id)), value, int(expires_s or 0)

    def _try_to_set(self, begun: tuple[Any, ...], at_s: float) -> None:
        """Once, as nothing depends on it."""
        with suppress(RedisError, OSError):
            key, *stored = self._stored(*begun)
            at = datetime.fromtimestamp(at_s, UTC).isoformat()
            run(self.client, "store_result", [key], [*stored, at])

    def _set_unless_done(self, key: str, value: str | bytes, expires_s: int) -> None:
        """What every task does once more does it without the layers of a client."""
        mine = (os.getpid(), get_ident())
        connection = self._connections.pop(mine, None)
        if connection is None:
            connection = new_connection(self.client.connection_pool)
        call = (1, key, value, expires_s)
        try:
            connection.send_command("EVALSHA", STORE.digest, *call)
            try:
                connection.read_response()
            except NoScriptError:
                connection.send_command("EVAL", STORE.source, *call)
                connection.read_response()
        except BaseException:  # a soft time limit, say: half a command may be on its way
            connection.disconnect()
            raise
        self._connections[mine] = connection


class SentinelResultBackend(ResultBackend):
    """The same on a primary that Sentinel names; Celery's own knows its URLs in another form."""

    def as_uri(self, include_password: bool = False) -> str:
        """The URL as it may be shown, or with its password."""
        return str(self.url) if include_password else without_password(str(self.url))

    def _params_from_url(self, url: str, defaults: dict[str, Any]) -> dict[str, Any]:
        self.url = url
        place = {"host", "port", "db", "password"}
        return {name: value for name, value in defaults.items() if name not in place}

    def _get_pool(self, **params: Any) -> Any:
        return connect_sentinel(str(self.url), **params).connection_pool
