"""The page of keys says what the code does."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]


@pytest.fixture
def keys_page():
    spec = spec_from_file_location("keys_page", ROOT / "tools" / "keys_page.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_keys_is_made_of_the_code(keys_page) -> None:
    committed = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert committed == keys_page.page(), "run: python tools/keys_page.py"


def test_a_key_without_its_line_is_refused(keys_page, monkeypatch: pytest.MonkeyPatch) -> None:
    def shadow(lane: str) -> str:
        """Something."""
        return lane

    monkeypatch.setattr(keys_page.keys, "shadow", shadow, raising=False)
    with pytest.raises(SystemExit, match="shadow is not documented"):
        keys_page.page()
