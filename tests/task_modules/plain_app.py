"""A Celery app of somebody who uses Laneway's transport and nothing else of it, or not even that."""

import os
from typing import Any

from celery import Celery

TRANSPORT = "laneway.tasks.broker.transport:Transport"
CLUSTER_TRANSPORT = "laneway.tasks.broker.cluster:ClusterTransport"


def create(
    broker_url: str,
    transport: str | None = TRANSPORT,
    *,
    cluster_url: str | None = None,
    result_url: str | None = None,
) -> Celery:
    """An app as careful as Celery's manual advises.

    Args:
        broker_url: of a Redis, or of any node of a cluster.
        transport: this one; kombu's own for None.
        cluster_url: its nodes, if the lanes lie on a cluster: then as docs/redis.md shows.
        result_url: where results go, if not to the broker.
    """
    made = Celery("plain", broker=broker_url, backend=result_url or broker_url)
    made.conf.update(
        include=["user_tasks"],
        broker_transport=transport,
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # Celery reads a state before it writes the next, and by itself tries only the writing again.
        result_backend_always_retry=True,
        worker_hijack_root_logger=False,
        **_on_a_cluster(cluster_url),
    )
    return made


def _on_a_cluster(cluster_url: str | None) -> dict[str, Any]:
    if cluster_url is None:
        return {}
    return {
        "broker_transport_options": {"cluster_url": cluster_url},
        "worker_enable_remote_control": False,
    }


environment = os.environ  # noqa: TID251 - the tests' own variables
if "PLAIN_BROKER_URL" in environment:  # a worker's; a producer creates its own
    app = create(
        environment["PLAIN_BROKER_URL"],
        environment.get("PLAIN_TRANSPORT") or None,
        cluster_url=environment.get("PLAIN_CLUSTER_URL"),
        result_url=environment.get("PLAIN_RESULT_URL"),
    )
    app.set_default()
