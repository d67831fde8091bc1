"""Laneway's producers. Its workers need nothing of this: they load `celery_tasks`."""

from itertools import islice

from celery_tasks import noop

from laneway.tasks.app import get_app
from laneway.tasks.bulk import submit_many
from laneway.tasks.dispatch import Submission, TaskRequest, submit

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
    for order in orders:
        submit("bench.noop", _payload(order))


def bulk(orders):
    """The same door for many at once."""
    coming = iter(orders)
    while some := [TaskRequest("bench.noop", _payload(each)) for each in islice(coming, BATCH)]:
        assert all(isinstance(outcome, Submission) for outcome in submit_many(some))


def _payload(order):
    return dict(zip(("number", "sent_s", "payload"), order, strict=True))


WAYS = {"delay": delay, "batch": batch, "submit": checked, "bulk": bulk}
