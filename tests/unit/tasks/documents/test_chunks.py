"""Splitting and naming."""

from collections.abc import Callable

import pytest

from laneway.tasks.documents.chunks import DocumentKey, chunk_id, split
from laneway.tasks.documents.extract import Kind
from laneway.tasks.errors import SettingsError
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit

KEY = DocumentKey("ann", "default", "/a.txt")


def test_no_chunk_is_longer_than_the_setting(settings: Settings) -> None:
    chunks = split(settings, Kind.TEXT, "The lamp turns at night. " * 100)
    assert len(chunks) > 10
    assert max(map(len, chunks)) <= settings.chunk_chars


def test_markdown_is_split_at_its_headings(settings: Settings) -> None:
    text = f"# One\n\n{'word ' * 30}\n\n# Two\n\n{'word ' * 30}"
    assert [chunk[:5] for chunk in split(settings, Kind.MARKDOWN, text)] == ["# One", "# Two"]


def test_chunks_overlap_as_set(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(chunk_overlap_chars=50)
    first, second, *_ = split(settings, Kind.TEXT, " ".join(f"word{n}" for n in range(200)))
    assert second.split()[0] in first.split()


def test_an_overlap_as_long_as_a_chunk_is_a_wrong_setting(
    make_settings: Callable[..., Settings],
) -> None:
    with pytest.raises(SettingsError, match="LANEWAY_CHUNK_OVERLAP_CHARS"):
        make_settings(chunk_overlap_chars=200)


def test_a_chunks_name_tells_everything_that_makes_it_another_one_apart() -> None:
    names = {
        chunk_id(KEY, "f" * 64, 0),
        chunk_id(KEY, "f" * 64, 1),
        chunk_id(KEY, "e" * 64, 0),
        chunk_id(DocumentKey("bob", "default", "/a.txt"), "f" * 64, 0),
        chunk_id(DocumentKey("ann", "other", "/a.txt"), "f" * 64, 0),
        chunk_id(DocumentKey("ann", "default", "/b.txt"), "f" * 64, 0),
    }
    assert len(names) == 6
    assert chunk_id(KEY, "f" * 64, 0) in names
