"""A wrong clock: Python imports this at its start when this folder is on its path.

`time.time` and `datetime.now` are off by FAULTS_CLOCK_OFFSET_S; monotonic clocks are right, as they
are on a machine whose date is wrong.
"""

import datetime as dt
import os
import time
from typing import Any

OFFSET_S = float(os.environ["FAULTS_CLOCK_OFFSET_S"])  # noqa: TID251 - the tests' own variable
NS_PER_S = 10**9

_true_time, _true_time_ns, _true_datetime = time.time, time.time_ns, dt.datetime


def _time() -> float:
    return _true_time() + OFFSET_S


def _time_ns() -> int:
    return _true_time_ns() + int(OFFSET_S * NS_PER_S)


class _Kind(type):
    """Lets the wrong class be asked about true instances."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _true_datetime)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _true_datetime)


class datetime(_true_datetime, metaclass=_Kind):  # noqa: N801 - it stands in for this name
    """The true class, with a wrong idea of now."""

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _true_datetime.fromtimestamp(_time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _true_datetime.fromtimestamp(_time(), dt.UTC).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


time.time, time.time_ns = _time, _time_ns
dt.datetime = datetime  # type: ignore[misc]
