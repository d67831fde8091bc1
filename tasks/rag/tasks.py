"""The task `rag.index_collection`: what Celery sees of this room."""

from typing import Any

from laneway.tasks.base import task
from laneway.tasks.broker.locks import LockHeld, exclusive
from laneway.tasks.errors import CollectionBusy
from laneway.tasks.rag.index import index_collection as index
from laneway.tasks.settings import current_settings

_LEASE_S = 60.0


@task(
    "rag.index_collection",
    bind=True,
    max_retries=3,
    autoretry_for=(ConnectionError, TimeoutError),
    retry_backoff=True,
    retry_jitter=True,
)
def index_collection(self: Any, collection: str) -> dict[str, Any]:
    """Index a collection; see `laneway.tasks.rag.index`. State INDEXING tells the progress.

    Raises:
        CollectionBusy: another run is at it.
    """
    settings = current_settings()
    try:
        with exclusive(settings, f"rag.index_collection:{collection}", _LEASE_S):
            return index(
                settings,
                collection,
                lambda meta: self.update_state(state="INDEXING", meta=meta),
            )
    except LockHeld:
        raise CollectionBusy(
            f"collection {collection}: is being indexed by another task. Wait for it to finish; "
            "what was stored before it started is part of its run."
        ) from None
