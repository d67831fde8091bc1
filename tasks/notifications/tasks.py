"""The task notifications.send_email."""

import logging
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from laneway.tasks.base import task
from laneway.tasks.errors import MailDeferred
from laneway.tasks.notifications.mail import send_mail

logger = logging.getLogger(__name__)

RETRY_DELAY_S = 30


@task(
    "notifications.send_email",
    bind=True,
    max_retries=3,
    autoretry_for=(ConnectionError, TimeoutError),
    default_retry_delay=RETRY_DELAY_S,
    # Celery's backoff takes no notice of default_retry_delay unless told its base, and its
    # jitter draws from zero up, which a server that asks for patience would not forgive. The
    # rate limit already spreads the tries: after 30, 60 and 120 seconds.
    retry_backoff=RETRY_DELAY_S,
    retry_jitter=False,
    rate_limit="100/m",
)
def send_email(self: Any, to: str, subject: str, body: str) -> dict[str, str]:
    """Send one plain-text mail; tries again while the mail server cannot be reached or says 4xx.

    Returns:
        `{to, status}` with status "sent" or "invalid_recipient".

    Raises:
        MailRefused: the server refused the mail for good, or its certificate or login failed.
    """
    task_id = self.request.id
    # An address is personal data: logs name the task alone.
    logger.info("Mail %s: sending, try %d", task_id, self.request.retries + 1)
    try:
        self.update_state(state="SENDING", meta={"to": to, "subject": subject})
        status = send_mail(self.app.settings, task_id, to, subject, body)
    except SoftTimeLimitExceeded:
        raise MailDeferred(
            f"Mail {task_id}: not handed over within the soft time limit. The task tries again; "
            "if it goes on, check how long the mail server and Redis take to answer."
        ) from None
    logger.info("Mail %s: %s", task_id, status)
    return {"to": to, "status": status}
