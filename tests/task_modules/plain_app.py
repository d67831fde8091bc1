"""A Celery app of somebody who uses Laneway's transport and nothing else of it."""

import os

from celery import Celery

TRANSPORT = "laneway.tasks.broker.transport:Transport"


def create(broker_url: str) -> Celery:
    """An app on the transport, as careful as Celery's manual advises."""
    made = Celery("plain", broker=broker_url, backend=broker_url, include=["user_tasks"])
    made.conf.update(
        broker_transport=TRANSPORT,
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_hijack_root_logger=False,
    )
    return made


if "PLAIN_BROKER_URL" in os.environ:  # noqa: TID251 - a worker's; a producer creates its own
    app = create(os.environ["PLAIN_BROKER_URL"])  # noqa: TID251
    app.set_default()
