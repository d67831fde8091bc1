"""Embeddings from any OpenAI-compatible endpoint: TEI, vLLM, Ollama, OpenAI."""

import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from laneway.tasks.documents.embedders import batches, check_vectors
from laneway.tasks.errors import EmbeddingError, EmbeddingUnavailable
from laneway.tasks.settings import Settings

_PAUSES_S = (0.2, 1.0)
"""Pauses before the second and third attempt; the task's own retries are the patient ones."""

_LONGEST_PAUSE_S = 5.0
_RETRIED = frozenset({408, 425, 429})


class OpenAIEmbedder:
    """Calls `POST {embedding_url}/embeddings`, some texts at a time."""

    def __init__(self, settings: Settings) -> None:
        if not settings.embedding_url:
            raise EmbeddingError(
                "LANEWAY_EMBEDDING_URL is not set, but LANEWAY_EMBEDDER=openai needs it. Set the "
                "endpoint's base URL, up to and with /v1."
            )
        self.model = settings.embedding_model
        self.dimension = settings.embedding_dimension
        self._url = settings.embedding_url.rstrip("/") + "/embeddings"
        parts = urlsplit(self._url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise EmbeddingError(
                "LANEWAY_EMBEDDING_URL is no URL. Set the endpoint's base URL, http(s)://host/v1."
            )
        self._origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._batch = settings.embedding_batch
        self._timeout_s = settings.embedding_timeout_s
        key = settings.embedding_api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; see `Embedder`."""
        import httpx2

        vectors: list[list[float]] = [[]] * len(texts)
        with httpx2.Client(timeout=self._timeout_s, headers=self._headers) as client:
            for positions in batches(texts, self._batch):
                answer = self._call(client, [texts[position] for position in positions])
                self.dimension = check_vectors(answer, self.dimension, self._origin)
                for position, vector in zip(positions, answer, strict=True):
                    vectors[position] = vector
        return vectors

    def _call(self, client: Any, texts: list[str]) -> list[list[float]]:
        body = {"model": self.model, "input": texts, "encoding_format": "float"}
        for pause_s in (*_PAUSES_S, None):
            problem, asked_pause_s = "", 0.0
            response = self._post(client, body)
            if isinstance(response, str):
                problem = response
            elif response.status_code in _RETRIED or response.is_server_error:
                problem = f"answers HTTP {response.status_code}"
                asked_pause_s = _retry_after_s(response)
            else:
                return self._vectors(response, len(texts))
            if pause_s is None or asked_pause_s > _LONGEST_PAUSE_S:
                break
            time.sleep(max(pause_s, asked_pause_s))
        raise EmbeddingUnavailable(
            f"{self._origin}: {problem}. It is tried again; if it stays so, check the endpoint "
            "and LANEWAY_EMBEDDING_URL."
        )

    def _post(self, client: Any, body: dict[str, Any]) -> Any:
        """The response, or in words why there is none."""
        import httpx2

        try:
            return client.post(self._url, json=body)
        except httpx2.TransportError as error:
            return f"does not answer ({type(error).__name__})"

    def _vectors(self, response: Any, count: int) -> list[list[float]]:
        if not response.is_success:
            raise EmbeddingError(
                f"{self._origin}: refuses the call (HTTP {response.status_code}). Check "
                "LANEWAY_EMBEDDING_URL, LANEWAY_EMBEDDING_MODEL and LANEWAY_EMBEDDING_API_KEY."
            )
        try:
            data = response.json()["data"]
            by_index = {
                int(entry.get("index", position)): [float(number) for number in entry["embedding"]]
                for position, entry in enumerate(data)
            }
            if len(data) != count:
                raise EmbeddingError(
                    f"{self._origin}: answers {len(data)} vectors for {count} texts. "
                    "Check that it speaks OpenAI's /v1/embeddings."
                )
            return [by_index[position] for position in range(count)]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EmbeddingError(
                f"{self._origin}: answers no embeddings ({type(error).__name__}). "
                "Check that it speaks OpenAI's /v1/embeddings."
            ) from None


def _retry_after_s(response: Any) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", 0)))
    except ValueError:  # a date: seldom, and our own pause will do
        return 0.0
