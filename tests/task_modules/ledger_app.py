"""Stock Celery as its documentation would have it run safely: the control arm of the faults."""

import os

from celery import Celery

LEASE_S = 5


def create(broker_url: str) -> Celery:
    """An app that is careful by Celery's own means: late acks, requeue on a lost process."""
    made = Celery("ledger", broker=broker_url, backend=broker_url, include=["ledger_tasks"])
    made.conf.update(
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,
        broker_transport_options={
            "visibility_timeout": LEASE_S,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
        },
        task_acks_late=True,
        task_ignore_result=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
    )
    return made


if "FAULTS_BROKER_URL" in os.environ:  # noqa: TID251 - a worker's; a producer creates its own
    app = create(os.environ["FAULTS_BROKER_URL"])  # noqa: TID251
