"""Build and refresh the indexes of a collection."""

from collections.abc import Callable
from typing import Any

from laneway.tasks.documents.vectors import vector_store
from laneway.tasks.settings import Settings


def index_collection(
    settings: Settings, collection: str, report: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Build or refresh a collection's vector and full-text index, then compact it.

    The caller sees to it that one run at a time works on a collection.

    Args:
        settings: the store.
        collection: its name.
        report: called with {step, collection, done, total} before each step.

    Returns:
        {collection, rows, indexed: {vectors, text, fragments}}, each saying what was done:
        built, refreshed, compacted, or skipped and why.

    Raises:
        StorageUnavailable: worth a retry.
        StorageError: the store refused.
    """
    store = vector_store(settings)
    steps = {
        "vectors": store.index_vectors,
        "text": store.index_text,
        "fragments": store.compact,
    }
    indexed = {}
    for done, (name, step) in enumerate(steps.items()):
        report({"step": name, "collection": collection, "done": done, "total": len(steps)})
        indexed[name] = step(collection)
    return {"collection": collection, "rows": store.count(collection), "indexed": indexed}
