"""A Celery app of somebody who uses Laneway's transport and nothing else of it, or not even that."""

import os

from celery import Celery

TRANSPORT = "laneway.tasks.broker.transport:Transport"


def create(broker_url: str, transport: str | None = TRANSPORT) -> Celery:
    """An app on this transport, kombu's own for None; as careful as Celery's manual advises."""
    made = Celery("plain", broker=broker_url, backend=broker_url, include=["user_tasks"])
    made.conf.update(
        broker_transport=transport,
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Celery reads a state before it writes the next, and by itself tries only the writing again.
        result_backend_always_retry=True,
        worker_hijack_root_logger=False,
    )
    return made


environment = os.environ  # noqa: TID251 - the tests' own variables
if "PLAIN_BROKER_URL" in environment:  # a worker's; a producer creates its own
    app = create(environment["PLAIN_BROKER_URL"], environment.get("PLAIN_TRANSPORT") or None)
    app.set_default()
