"""Stock Celery with late acks, its other settings as they come. Batches are kombu 5.7's."""

import probe
from celery import Celery
from celery_tasks import noop

URL = probe.given("REDIS_URL")
BATCH = 500

app = Celery("celery_peer", broker=URL, backend=URL if probe.keeps_results() else None)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_queue="bench",
    broker_connection_retry_on_startup=True,
)


def delay(orders):
    for order in orders:
        noop.delay(*order)


def batch(orders):
    with app.producer_or_acquire() as producer, producer.batch(BATCH):
        for order in orders:
            noop.apply_async(order, producer=producer)


WAYS = {"delay": delay, "batch": batch}
