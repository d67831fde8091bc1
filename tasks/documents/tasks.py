"""The tasks `documents.process` and `documents.embed`: what Celery sees of this room."""

from typing import Any

from laneway.tasks.base import task
from laneway.tasks.broker.locks import LockHeld, exclusive
from laneway.tasks.documents.chunks import DocumentKey
from laneway.tasks.documents.embed import embed_chunks, embed_texts
from laneway.tasks.documents.paths import shown
from laneway.tasks.documents.process import process_document
from laneway.tasks.errors import DocumentUnavailable
from laneway.tasks.settings import current_settings

_RETRIED = (ConnectionError, TimeoutError)
_LEASE_S = 30.0
_PATIENCE = 4
"""Each wait for another run is so many times the last: three outlast the hard time limit, and
the first outlasts the lease of a run that died."""


@task(
    "documents.process",
    bind=True,
    max_retries=3,
    autoretry_for=_RETRIED,
    retry_backoff=True,
    retry_jitter=True,
)
def process(
    self: Any,
    file_path: str,
    user_id: str,
    priority: str = "normal",
    collection: str = "default",
) -> dict[str, Any]:
    """Make a document searchable; see `process_document`. State PROCESSING tells the progress.

    Raises:
        DocumentUnavailable: another run was at this document, at every attempt.
    """
    del priority  # chose the lane when the task was submitted
    settings = current_settings()
    try:
        return process_document(
            settings,
            DocumentKey(user_id, collection, file_path),
            lambda meta: self.update_state(state="PROCESSING", meta=meta),
            lambda name: exclusive(settings, f"documents.process:{name}", _LEASE_S),
        )
    except LockHeld:
        busy = DocumentUnavailable(
            f"{shown(file_path)}: another run is processing this document. It is tried again "
            "once that run may be done; if it failed, submit it again."
        )
        countdown_s = _LEASE_S * _PATIENCE**self.request.retries
        raise self.retry(exc=busy, countdown=countdown_s) from None


@task(
    "documents.embed",
    max_retries=3,
    autoretry_for=_RETRIED,
    retry_backoff=True,
    retry_jitter=True,
)
def embed(
    texts: list[str] | None = None,
    chunk_ids: list[str] | None = None,
    collection: str = "default",
) -> dict[str, Any]:
    """Embed texts, or stored chunks anew; see `embed_texts` and `embed_chunks`."""
    if texts is not None:
        return embed_texts(current_settings(), texts, collection)
    return embed_chunks(current_settings(), chunk_ids or [], collection)
