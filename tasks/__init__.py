"""What runs: the queue catalogue, the tasks, and the doors into the lanes.

    from laneway.tasks import submit, submit_many, task

`task` makes a Celery task of a function; `submit` is the door in for Python code, `submit_many` the
one for many tasks at once. They load on first use, so that importing a contract or a setting costs
nothing more.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from laneway.tasks.app import get_app
    from laneway.tasks.base import task
    from laneway.tasks.bulk import submit_many
    from laneway.tasks.dispatch import submit

__all__ = ["get_app", "submit", "submit_many", "task"]

_HOMES = {"get_app": "app", "submit": "dispatch", "submit_many": "bulk", "task": "base"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
