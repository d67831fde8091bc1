"""Which table holds a collection: a small file beside the tables, written once.

LanceDB looks whether a table exists and then writes it; a second creator in between overwrites
the first one's rows. So every creator makes a table of its own under a name that nobody else
has, and the one whose name is written here first wins.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from laneway.tasks.documents.storage import s3_filesystem, storage_errors, vectors_root
from laneway.tasks.errors import StorageError
from laneway.tasks.settings import Settings


def new_table_name(collection: str) -> str:
    """A name that no other process makes up."""
    return f"{collection}.{uuid4().hex}"


class TableNames:
    """The names, as files `<collection>.table` in the folder of the vectors or on S3."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = vectors_root(settings)

    def read(self, collection: str) -> str | None:
        """The name of the collection's table, or None if it has none yet."""
        place = self._place(collection)
        with storage_errors(place):
            try:
                if self._remote:
                    content: bytes = self._filesystem.cat_file(place)
                else:
                    content = Path(place).read_bytes()
            except FileNotFoundError as error:
                _refuse_missing_bucket(place, error)
                return None
        return content.decode()

    def claim(self, collection: str, name: str) -> str:
        """Name the collection's table, unless another process was quicker; answers who won."""
        place = self._place(collection)
        with storage_errors(place):
            try:
                self._write_once(place, name.encode())
            except FileNotFoundError:
                raise
            except OSError:
                # Stores word a lost race differently; what counts is whether a name is there.
                winner = self.read(collection)
                if winner is None:
                    raise
                return winner
        return name

    @property
    def _remote(self) -> bool:
        return self._root.startswith("s3://")

    @property
    def _filesystem(self) -> Any:
        return s3_filesystem(self._settings)

    def _place(self, collection: str) -> str:
        return f"{self._root}/{collection}.table"

    def _write_once(self, place: str, content: bytes) -> None:
        if self._remote:
            self._filesystem.pipe_file(place, content, mode="create")
            return
        draft = Path(f"{place}.{uuid4().hex}")
        try:
            draft.write_bytes(content)
            os.link(draft, place)  # unlike a rename, fails if the name is taken
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)


def _refuse_missing_bucket(place: str, error: FileNotFoundError) -> None:
    answer = getattr(error.__cause__, "response", None) or {}
    if answer.get("Error", {}).get("Code") == "NoSuchBucket":
        raise StorageError(f"{place}: there is no such bucket. Create it.") from error
