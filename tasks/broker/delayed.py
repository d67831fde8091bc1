"""Messages that wait in Redis for their time."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

import redis

from laneway.tasks.broker import keys

_SPECIAL = re.compile(r"([*?\[\]\\^-])")
PAGE = 1_000


def read_moment(text: str) -> datetime:
    """A time as message headers spell it (ISO 8601), which is UTC unless it says otherwise.

    Raises:
        ValueError, TypeError: it is none.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or UTC)


def bring_forward(client: "redis.Redis", lane: str, task_ids: Iterable[str]) -> int:
    """Make the delayed messages of these tasks due now, say because they were called off.

    Looks through all that the lane has delayed; 100,000 take Redis some tenths of a second, in
    pieces of a thousand.

    Returns:
        How many messages were found.
    """
    name, found = keys.delayed(lane), 0
    for task_id in task_ids:
        quoted = _SPECIAL.sub(r"\\\1", task_id)
        pattern = f'*"{quoted}"*'
        for record, _ in client.zscan_iter(name, match=pattern, count=PAGE):
            client.zadd(name, {record: 0}, xx=True)
            found += 1
    return found
