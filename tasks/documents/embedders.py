"""What an embedder is, which one the settings name, and what its answers must look like."""

import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from laneway.tasks.errors import EmbeddingError, EmbeddingMismatch
from laneway.tasks.settings import Settings


class Embedder(Protocol):
    """Turns texts into vectors of one dimension, which is None until the first call tells it."""

    model: str
    dimension: int | None

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, in their order.

        Raises:
            EmbeddingError: endpoint or model is set up wrongly, or answers nonsense.
            EmbeddingUnavailable: worth a retry.
        """


def embedder_for(settings: Settings) -> Embedder:
    """The embedder that `LANEWAY_EMBEDDER` names.

    Raises:
        EmbeddingError: something it needs is missing.
    """
    if settings.embedder == "openai":
        from laneway.tasks.documents.openai_embedder import OpenAIEmbedder

        return OpenAIEmbedder(settings)
    from laneway.tasks.documents.local_embedder import LocalEmbedder

    return LocalEmbedder(settings)


def batches(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Positions of the texts, `size` at a time, alike in length: short ones wait for no long."""
    order = sorted(range(len(texts)), key=lambda position: len(texts[position]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def check_vectors(
    vectors: Sequence[Sequence[float]], expected: int | None, origin: str
) -> int | None:
    """The dimension of the vectors; `expected` if there are none.

    Raises:
        EmbeddingMismatch: not the expected dimension.
        EmbeddingError: different dimensions, or no numbers.
    """
    dimensions = {len(vector) for vector in vectors}
    if not dimensions:
        return expected
    if len(dimensions) > 1 or 0 in dimensions:
        raise EmbeddingError(
            f"{origin}: answers vectors of different dimensions ({sorted(dimensions)}). "
            "Use a model that is made for embeddings."
        )
    (dimension,) = dimensions
    if expected is not None and dimension != expected:
        raise EmbeddingMismatch(
            f"{origin}: answers vectors of dimension {dimension}, not {expected}. Set the model "
            "back, or set LANEWAY_EMBEDDING_DIMENSION and use a new collection."
        )
    if not all(math.isfinite(number) for vector in vectors for number in vector):
        raise EmbeddingError(f"{origin}: answers vectors with NaN or infinity. Check the model.")
    return dimension
