"""Reading from folders: what is allowed, and what is there."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from laneway.tasks.documents.paths import locate, shown
from laneway.tasks.documents.source import read_document
from laneway.tasks.errors import DocumentNotFound, DocumentTooLarge, PathNotAllowed
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit


def test_a_file_in_an_allowed_folder_is_read(settings: Settings, inbox: Path) -> None:
    (inbox / "a.txt").write_text("hello")
    document = read_document(settings, str(inbox / "a.txt"))
    assert document.content == b"hello"
    assert document.suffix == ".txt"


def test_a_file_url_is_the_same_document_as_its_path(settings: Settings, inbox: Path) -> None:
    path = inbox / "two words.txt"
    path.write_text("hello")
    assert locate(settings, path.as_uri()) == locate(settings, str(path))


def test_an_upload_is_read_without_any_root(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    upload = tmp_path / "store" / "documents" / "ann" / "a.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text("hello")
    assert read_document(make_settings(document_roots=()), str(upload)).content == b"hello"


@pytest.mark.parametrize(
    "file_path",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "file://elsewhere/etc/passwd",
        "relative.txt",
        "ftp://host/a.txt",
        "s3://other-bucket/a.txt",
        "https://not-listed.example/a.txt",
        "gopher://",
    ],
)
def test_a_path_outside_everything_allowed_is_refused(settings: Settings, file_path: str) -> None:
    with pytest.raises(PathNotAllowed):
        read_document(settings, file_path)


def test_a_path_that_climbs_out_of_its_root_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox.parent / "secret.txt").write_text("secret")
    with pytest.raises(PathNotAllowed, match="LANEWAY_DOCUMENT_ROOTS"):
        read_document(settings, f"{inbox}/../secret.txt")


def test_the_vectors_beside_the_uploads_are_no_documents(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "store" / "vectors" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(path))


def test_a_link_out_of_its_root_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox.parent / "secret.txt").write_text("secret")
    (inbox / "a.txt").symlink_to(inbox.parent / "secret.txt")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(inbox / "a.txt"))


def test_a_link_within_its_root_is_followed(settings: Settings, inbox: Path) -> None:
    (inbox / "real.txt").write_text("hello")
    (inbox / "a.txt").symlink_to("real.txt")
    assert read_document(settings, str(inbox / "a.txt")).content == b"hello"


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "folder").mkdir()
    (inbox / "folder" / "a.txt").write_text("hello")
    (inbox.parent / "a.txt").write_text("secret")
    place = locate(settings, str(inbox / "folder" / "a.txt"))
    (inbox / "folder").rename(inbox / "moved")
    (inbox / "folder").symlink_to(inbox.parent)
    monkeypatch.setattr("laneway.tasks.documents.source.locate", lambda *_: place)
    with pytest.raises(PathNotAllowed):
        read_document(settings, place.name)


def test_a_circle_of_links_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox / "a.txt").symlink_to("b.txt")
    (inbox / "b.txt").symlink_to("a.txt")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(inbox / "a.txt"))


def test_only_regular_files_are_read(settings: Settings, inbox: Path) -> None:
    os.mkfifo(inbox / "pipe")
    (inbox / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(PathNotAllowed, match="regular file"):
            read_document(settings, str(inbox / name))


def test_a_missing_file_is_not_found(settings: Settings, inbox: Path) -> None:
    with pytest.raises(DocumentNotFound):
        read_document(settings, str(inbox / "none.txt"))


def test_a_huge_file_is_refused(make_settings: Callable[..., Settings], inbox: Path) -> None:
    (inbox / "a.txt").write_text("x" * 11)
    with pytest.raises(DocumentTooLarge, match="10 bytes"):
        read_document(make_settings(document_limit_bytes=10), str(inbox / "a.txt"))


def test_an_s3_key_must_lie_below_the_prefix_and_hold_no_dots(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(document_roots=("s3://bucket/in",))
    assert locate(settings, "s3://bucket/in/a.txt").name == "s3://bucket/in/a.txt"
    for key in ("s3://bucket/inside/a.txt", "s3://bucket/in/../a.txt", "s3://bucket/in//a"):
        with pytest.raises(PathNotAllowed):
            locate(settings, key)


def test_messages_show_no_credentials_and_no_signature() -> None:
    assert shown("https://me:secret@host/a.pdf?signature=secret#secret") == "https://host/a.pdf"
