"""Uploads and the store's faults."""

import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from laneway.tasks.documents.source import read_document
from laneway.tasks.documents.storage import storage_root
from laneway.tasks.documents.uploads import safe_name, store_upload
from laneway.tasks.documents.vectors import Chunk, vector_store
from laneway.tasks.errors import (
    DocumentTooLarge,
    InvalidPayload,
    SettingsError,
    StorageReadOnly,
)
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit


def stored_files(settings: Settings) -> list[Path]:
    return [path for path in Path(storage_root(settings)).rglob("*") if path.is_file()]


def test_an_upload_can_be_read_at_the_path_it_answers(settings: Settings) -> None:
    stored = store_upload(settings, "ann", "notes.txt", [b"hello ", b"world"])
    document = read_document(settings, stored.file_path, "ann")
    assert document.content == b"hello world"
    assert (stored.size_bytes, stored.sha256) == (11, document.sha256)


def test_an_open_file_can_be_uploaded(settings: Settings) -> None:
    stored = store_upload(settings, "ann", "notes.txt", io.BytesIO(b"hello"))
    assert stored.size_bytes == 5


def test_two_uploads_of_one_name_stay_apart(settings: Settings) -> None:
    first, second = (store_upload(settings, "ann", "a.txt", [text]) for text in (b"1", b"2"))
    assert read_document(settings, first.file_path, "ann").content == b"1"
    assert read_document(settings, second.file_path, "ann").content == b"2"


@pytest.mark.parametrize(
    ("filename", "kept"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ann\\Über mich.docx", "Uber-mich.docx"),
        (".hidden", "hidden"),
        ("a\x00b\nc.txt", "a-b-c.txt"),
        ("日本.pdf", "pdf"),
        ("..", "document"),
        ("", "document"),
        ("x" * 500 + ".md", "x" * 80 + ".md"),
    ],
)
def test_only_harmless_characters_of_a_name_are_kept(filename: str, kept: str) -> None:
    assert safe_name(filename) == kept


@pytest.mark.parametrize("user_id", ["../bob", "", "a/b", "a\nb", "."])
def test_a_user_id_cannot_lead_elsewhere(settings: Settings, user_id: str) -> None:
    with pytest.raises(InvalidPayload, match="user_id"):
        store_upload(settings, user_id, "a.txt", [b"x"])
    assert stored_files(settings) == []


def test_an_upload_above_the_limit_leaves_nothing_behind(settings: Settings) -> None:
    with pytest.raises(DocumentTooLarge, match="LANEWAY_DOCUMENT_LIMIT_BYTES"):
        store_upload(settings, "ann", "a.txt", [b"12345", b"67890"], limit_bytes=9)
    assert stored_files(settings) == []


def test_an_upload_that_breaks_off_leaves_nothing_behind(settings: Settings) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError):
        store_upload(settings, "ann", "a.txt", broken())
    assert stored_files(settings) == []


@pytest.mark.parametrize("url", ["s3://", "http://host/x", "file://host/x", "nonsense"])
def test_a_wrong_storage_url_is_a_wrong_setting(
    make_settings: Callable[..., Settings], url: str
) -> None:
    with pytest.raises(SettingsError, match="LANEWAY_STORAGE_URL"):
        storage_root(make_settings(storage_url=url))


def chunk(text: str = "text") -> Chunk:
    return Chunk("0" * 32, "ann", "/a.txt", "f" * 64, 0, text, [0.5, 0.5])


@pytest.mark.parametrize("folder", ["", "documents", "vectors"])
def test_a_store_that_cannot_be_written_is_read_only(settings: Settings, folder: str) -> None:
    # A file where a folder is wanted refuses every user, root too.
    root = Path(storage_root(settings))
    (root / folder).parent.mkdir(parents=True, exist_ok=True)
    (root / folder).write_text("in the way")
    actions: dict[str, Callable[[], Any]] = {
        "documents": lambda: store_upload(settings, "ann", "a.txt", [b"x"]),
        "vectors": lambda: vector_store(settings).put("default", "model", [chunk()]),
    }
    for name, action in actions.items():
        if folder in {"", name}:
            with pytest.raises(StorageReadOnly, match="LANEWAY_STORAGE_URL"):
                action()
        else:
            action()


UNTIL_FULL = """
import resource, sys
from laneway.tasks.documents.uploads import store_upload
from laneway.tasks.documents.vectors import Chunk, vector_store
from laneway.tasks.errors import StorageFull
from laneway.tasks.settings import load_settings

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
settings = load_settings(storage_url=sys.argv[1])
chunk = Chunk("0" * 32, "ann", "/a.txt", "f" * 64, 0, "x" * 500_000, [0.5, 0.5])
for action in (
    lambda: store_upload(settings, "ann", "a.txt", [b"x" * 10_000] * 10),
    lambda: vector_store(settings).put("default", "model", [chunk]),
):
    try:
        action()
    except StorageFull:
        print("full")
"""


def test_a_full_store_says_so_and_keeps_nothing_half_written(settings: Settings) -> None:
    """A limit on file sizes stands for the disk: the write fails in the same place."""
    command = [sys.executable, "-c", UNTIL_FULL, settings.storage_url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["full", "full"], run.stderr
    assert [path for path in stored_files(settings) if "documents" in path.parts] == []
