"""Results in one round trip.

Celery's own backend reads a task's state before it writes the next, so as not to overwrite a
success, and writes in a transaction: two trips, on each of which the task waits. Here a script does
both. The layout in Redis and what readers see are Celery's.
"""

from typing import Any

from celery.backends.redis import RedisBackend
from kombu.utils.encoding import bytes_to_str

from laneway.tasks.broker.scripting import run

LARGEST_BYTES = RedisBackend._MAX_STR_VALUE_SIZE  # noqa: SLF001 - Redis's own limit
PREFIX = f"{__name__}:ResultBackend+"


class ResultBackend(RedisBackend):
    """Celery's Redis backend with another way to store."""

    def _store_result(
        self,
        task_id: str,
        result: Any,
        state: str,
        traceback: str | None = None,
        request: Any = None,
        **_: Any,
    ) -> Any:
        meta = self._get_result_meta(
            result=result, state=state, traceback=traceback, request=request
        )
        key = self.get_key_for_task(task_id)
        value = self.encode({**meta, "task_id": bytes_to_str(task_id)})
        if len(value) > LARGEST_BYTES:
            raise ValueError(
                f"The result of {task_id} has {len(value)} bytes, more than Redis stores. Return a "
                "reference to it instead, or ignore_result."
            )
        expires_s = self.expires if state != "FAILURE" else self.failure_expires
        self.ensure(self._set_unless_done, (key, value, expires_s or 0))
        return result

    def _set_unless_done(self, key: str | bytes, value: str | bytes, expires_s: int) -> None:
        run(self.client, "store_result", [bytes_to_str(key)], [value, int(expires_s)])
