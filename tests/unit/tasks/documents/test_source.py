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
    document = read_document(settings, str(inbox / "a.txt"), "ann")
    assert document.content == b"hello"
    assert document.suffix == ".txt"


def test_a_file_url_is_the_same_document_as_its_path(settings: Settings, inbox: Path) -> None:
    path = inbox / "two words.txt"
    path.write_text("hello")
    assert locate(settings, path.as_uri(), "ann") == locate(settings, str(path), "ann")


def test_an_upload_is_read_without_any_root(
    make_settings: Callable[..., Settings], tmp_path: Path
) -> None:
    upload = tmp_path / "store" / "documents" / "ann" / "a.txt"
    upload.parent.mkdir(parents=True)
    upload.write_text("hello")
    assert read_document(make_settings(document_roots=()), str(upload), "ann").content == b"hello"


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
        read_document(settings, file_path, "ann")


def test_a_path_that_climbs_out_of_its_root_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox.parent / "secret.txt").write_text("secret")
    with pytest.raises(PathNotAllowed, match="LANEWAY_DOCUMENT_ROOTS"):
        read_document(settings, f"{inbox}/../secret.txt", "ann")


def test_the_vectors_beside_the_uploads_are_no_documents(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "store" / "vectors" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(path), "ann")


def test_a_link_out_of_its_root_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox.parent / "secret.txt").write_text("secret")
    (inbox / "a.txt").symlink_to(inbox.parent / "secret.txt")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(inbox / "a.txt"), "ann")


def test_a_link_within_its_root_is_followed(settings: Settings, inbox: Path) -> None:
    (inbox / "real.txt").write_text("hello")
    (inbox / "a.txt").symlink_to("real.txt")
    assert read_document(settings, str(inbox / "a.txt"), "ann").content == b"hello"


def test_a_folder_swapped_for_a_link_after_the_check_is_not_followed(
    settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "folder").mkdir()
    (inbox / "folder" / "a.txt").write_text("hello")
    (inbox.parent / "a.txt").write_text("secret")
    place = locate(settings, str(inbox / "folder" / "a.txt"), "ann")
    (inbox / "folder").rename(inbox / "moved")
    (inbox / "folder").symlink_to(inbox.parent)
    monkeypatch.setattr("laneway.tasks.documents.source.locate", lambda *_: place)
    with pytest.raises(PathNotAllowed):
        read_document(settings, place.name, "ann")


def test_a_circle_of_links_is_refused(settings: Settings, inbox: Path) -> None:
    (inbox / "a.txt").symlink_to("b.txt")
    (inbox / "b.txt").symlink_to("a.txt")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(inbox / "a.txt"), "ann")


def test_only_regular_files_are_read(settings: Settings, inbox: Path) -> None:
    os.mkfifo(inbox / "pipe")
    (inbox / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(PathNotAllowed, match="regular file"):
            read_document(settings, str(inbox / name), "ann")


def test_a_missing_file_is_not_found(settings: Settings, inbox: Path) -> None:
    with pytest.raises(DocumentNotFound):
        read_document(settings, str(inbox / "none.txt"), "ann")


def test_a_huge_file_is_refused(make_settings: Callable[..., Settings], inbox: Path) -> None:
    (inbox / "a.txt").write_text("x" * 11)
    with pytest.raises(DocumentTooLarge, match="10 bytes"):
        read_document(make_settings(document_limit_bytes=10), str(inbox / "a.txt"), "ann")


def test_an_s3_key_must_lie_below_the_prefix_and_hold_no_dots(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(document_roots=("s3://bucket/in",))
    assert locate(settings, "s3://bucket/in/a.txt", "ann").name == "s3://bucket/in/a.txt"
    for key in ("s3://bucket/inside/a.txt", "s3://bucket/in/../a.txt", "s3://bucket/in//a"):
        with pytest.raises(PathNotAllowed):
            locate(settings, key, "ann")


@pytest.fixture
def upload(settings: Settings, tmp_path: Path) -> Path:
    """Bob's."""
    path = tmp_path / "store" / "documents" / "bob" / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_text("secret of bob")
    (path.parent.parent / "ann").mkdir()
    return path


@pytest.mark.parametrize(
    "spelling",
    ["{uploads}/bob/a.txt", "file://{uploads}/bob/a.txt", "{uploads}/ann/../bob/a.txt"],
)
def test_another_users_upload_is_refused_however_it_is_spelt(
    settings: Settings, upload: Path, spelling: str
) -> None:
    file_path = spelling.format(uploads=upload.parent.parent)
    with pytest.raises(PathNotAllowed, match="no upload of user ann") as refused:
        read_document(settings, file_path, "ann")
    assert "secret of bob" not in str(refused.value)
    assert read_document(settings, file_path, "bob").content == b"secret of bob"


def test_another_users_upload_is_refused_alike_whether_it_exists_or_not(
    settings: Settings, upload: Path
) -> None:
    messages = []
    for name in ("a.txt", "b.txt"):
        with pytest.raises(PathNotAllowed) as refused:
            read_document(settings, str(upload.with_name(name)), "ann")
        messages.append(str(refused.value).replace(name, "…"))
    assert messages[0] == messages[1]


def test_a_link_among_ones_own_uploads_does_not_lead_to_anothers(
    settings: Settings, upload: Path
) -> None:
    link = upload.parent.parent / "ann" / "mine.txt"
    link.symlink_to(upload)
    with pytest.raises(PathNotAllowed) as refused:
        read_document(settings, str(link), "ann")
    assert "bob" not in str(refused.value)


def test_a_root_around_the_uploads_does_not_share_them(
    make_settings: Callable[..., Settings], upload: Path, tmp_path: Path
) -> None:
    settings = make_settings(document_roots=(str(tmp_path),))
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(upload), "ann")
    (tmp_path / "shared.txt").write_text("for all")
    for user_id in ("ann", "bob"):
        shared = read_document(settings, str(tmp_path / "shared.txt"), user_id)
        assert shared.content == b"for all"


@pytest.mark.parametrize("user_id", ["ann", "a.txt"])
def test_a_file_in_nobodys_folder_is_nobodys_upload(
    settings: Settings, upload: Path, user_id: str
) -> None:
    path = upload.parent.parent / "a.txt"
    path.write_text("lost")
    with pytest.raises(PathNotAllowed):
        read_document(settings, str(path), user_id)


def test_another_users_object_is_refused_and_shared_prefixes_stay_shared(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(storage_url="s3://bucket/own", document_roots=("s3://bucket",))
    upload = "s3://bucket/own/documents/bob/a.txt"
    assert locate(settings, upload, "bob").name == upload
    for file_path in (upload, "s3://bucket/own/documents/ann", "s3://bucket/own/documents/annex/a"):
        with pytest.raises(PathNotAllowed, match="no upload of user ann"):
            locate(settings, file_path, "ann")
    for user_id in ("ann", "bob"):
        assert locate(settings, "s3://bucket/in/bob/a.txt", user_id).name.endswith("bob/a.txt")


def test_messages_show_no_credentials_and_no_signature() -> None:
    assert shown("https://me:secret@host/a.pdf?signature=secret#secret") == "https://host/a.pdf"
