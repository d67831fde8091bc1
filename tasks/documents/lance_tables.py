"""Open and create LanceDB's tables, with bounded waits."""

from functools import cached_property
from typing import Any

from laneway.tasks.documents.storage import (
    CONNECT_TIMEOUT_S,
    RETRIES,
    s3_credentials,
    vectors_root,
)
from laneway.tasks.documents.table_names import TableNames, new_table_name
from laneway.tasks.settings import Settings

COLUMNS = ("id", "user_id", "file_path", "content_sha256", "ordinal", "text", "vector")
"""What is kept of a chunk; a row also names its model."""

MODEL = b"laneway.model"
"""Where a table's schema names the model of all its vectors."""

_REQUEST_LIMIT_S = 7
"""Of a whole request. LanceDB asks a store that hangs six times, whatever it is told."""


class Tables:
    """The tables of the collections; connects at the first use."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._names = TableNames(settings)

    def open(self, collection: str) -> Any:
        """The collection's table, or None if it has none yet."""
        name = self._names.read(collection)
        return None if name is None else self._database.open_table(name)

    def create(self, collection: str, model: str, dimension: int) -> Any:
        """Make the collection's table, or open the one of a process that was quicker."""
        own = new_table_name(collection)
        table = self._database.create_table(own, schema=_schema(model, dimension))
        winner = self._names.claim(collection, own)
        if winner == own:
            return table
        self._database.drop_table(own)
        return self._database.open_table(winner)

    @cached_property
    def _database(self) -> Any:
        import lancedb

        root = vectors_root(self._settings)
        return lancedb.connect(root, storage_options=storage_options(self._settings))


def storage_options(settings: Settings) -> dict[str, str] | None:
    """LanceDB's options for the store, with bounded waits; None for a folder."""
    if not settings.storage_url.startswith("s3://"):
        return None
    key, secret = s3_credentials(settings)
    endpoint = settings.storage_endpoint
    options = {
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
        "aws_endpoint": endpoint,
        "aws_region": settings.storage_region,
        "allow_http": "true" if (endpoint or "").startswith("http://") else "false",
        "connect_timeout": f"{CONNECT_TIMEOUT_S}s",
        "timeout": f"{_REQUEST_LIMIT_S}s",
        "client_max_retries": str(RETRIES),
        "client_retry_timeout": str(_REQUEST_LIMIT_S),
        "download_retry_count": str(RETRIES),
    }
    return {name: value for name, value in options.items() if value is not None}


def _schema(model: str, dimension: int) -> Any:
    import pyarrow as pa

    # Without a key, two processes that insert the same new chunk at once would both succeed.
    key = {"lance-schema:unenforced-primary-key": "true"}
    text = [pa.field(name, pa.string(), nullable=False) for name in COLUMNS[1:4]]
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False, metadata=key),
            *text,
            pa.field("ordinal", pa.int32(), nullable=False),
            pa.field("text", pa.string(), nullable=False),
            pa.field("vector", pa.list_(pa.float32(), dimension), nullable=False),
            pa.field("model", pa.string(), nullable=False),
        ],
        metadata={MODEL: model.encode()},
    )
