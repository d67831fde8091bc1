"""A team's module that sets an option of Celery's: results tell all that is known of a task."""

from typing import Any

from celery import current_app, shared_task

current_app.conf.result_extended = True


@shared_task(name="user.unstorable")
def unstorable() -> Any:
    """Returns what JSON cannot hold."""
    return object()
