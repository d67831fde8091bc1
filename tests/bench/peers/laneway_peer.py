"""Laneway's producers. Its workers need nothing of this: they load `celery_tasks`."""

from celery_tasks import noop

from laneway.tasks.app import get_app
from laneway.tasks.dispatch import submit

BATCH = 500


def delay(orders):
    get_app().finalize()
    for order in orders:
        noop.delay(*order)


def batch(orders):
    app = get_app()
    app.finalize()
    with app.producer_or_acquire() as producer, producer.batch(BATCH):
        for order in orders:
            noop.apply_async(order, producer=producer)


def checked(orders):
    """The door that checks task, payload and room, and notes who submitted."""
    for number, sent_s, payload in orders:
        submit("bench.noop", {"number": number, "sent_s": sent_s, "payload": payload})


WAYS = {"delay": delay, "batch": batch, "submit": checked}
