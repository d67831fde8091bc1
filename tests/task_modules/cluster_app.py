"""A Celery app of somebody whose lanes lie on a Redis Cluster, as docs/redis.md shows it."""

import os

from celery import Celery


def create(broker_url: str, cluster_url: str, result_url: str) -> Celery:
    """`broker_url` is any node's; results want a Redis of their own."""
    made = Celery("clustered", broker=broker_url, backend=result_url, include=["user_tasks"])
    made.conf.update(
        broker_transport="laneway.tasks.broker.cluster:ClusterTransport",
        broker_transport_options={"cluster_url": cluster_url},
        broker_connection_retry_on_startup=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
    )
    return made


environment = os.environ  # noqa: TID251 - the tests' own variables
if "CLUSTER_URL" in environment:  # a worker's; a producer creates its own
    app = create(
        environment["CLUSTER_NODE"], environment["CLUSTER_URL"], environment["CLUSTER_RESULTS"]
    )
    app.set_default()
