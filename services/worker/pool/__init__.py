"""The worker's pools: processes and threads of our own, and Celery's for comparison."""

from laneway.services.worker.pool.celery_pools import CeleryProcessPool, CeleryThreadPool
from laneway.services.worker.pool.exits import exit_reason, watch_exits
from laneway.services.worker.pool.face import Pool, Running
from laneway.services.worker.pool.processes import ProcessPool
from laneway.services.worker.pool.threads import ThreadPool

__all__ = [
    "CeleryProcessPool",
    "CeleryThreadPool",
    "Pool",
    "ProcessPool",
    "Running",
    "ThreadPool",
    "exit_reason",
    "watch_exits",
]
