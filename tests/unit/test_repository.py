"""The rules of the house that no linter knows."""

import ast
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from laneway.observability import headers
from laneway.tasks.broker.keys import FIRST_PUBLISHED_AT, PUBLISHED_AT

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
FLOORS = ("tasks", "services", "observability", "tests", "tools", "examples")
SOURCES = sorted(path for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))
TEMPLATES = sorted((ROOT / "charts/laneway/templates").rglob("*.*"))
SHIPPED = sorted(
    path
    for floor in ("tasks", "services", "observability")
    for path in (ROOT / floor).rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*SOURCES, *TEMPLATES], ids=named)
def test_a_file_is_one_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_function_is_one_page(path: Path) -> None:
    functions = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    too_long = {f.name: _lines(f) for f in functions if _lines(f) > 40}
    assert too_long == {}


def test_the_package_ships_every_file_it_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = [*project["tool"]["setuptools"]["package-data"]["*"], "*.py"]
    left_out = [
        named(path)
        for path in SHIPPED
        if not any(fnmatchcase(path.name, pattern) for pattern in patterns)
    ]
    assert left_out == []


def test_only_one_file_spells_redis_keys() -> None:
    spelling = [
        named(path)
        for path in SHIPPED
        if path.suffix == ".py"
        and ("laneway:{" in path.read_text() or "laneway:%" in path.read_text())
    ]
    assert spelling == ["tasks/broker/keys.py"]


def test_publisher_and_observer_spell_the_time_headers_alike() -> None:
    ours = (PUBLISHED_AT, FIRST_PUBLISHED_AT)
    assert ours == (headers.ENQUEUED_AT, headers.FIRST_ENQUEUED_AT)


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body; a docstring is free."""
    body = function.body
    first = body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if documented and len(body) == 1:
        return 0
    start = body[1] if documented else first
    return (function.end_lineno or 0) - start.lineno + 1
