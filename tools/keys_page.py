"""Makes `docs/keys.md` of the docstrings in `tasks/broker/keys.py`.

.venv/bin/python tools/keys_page.py > docs/keys.md
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from laneway.tasks.broker import keys

PAGE = Path(__file__).parents[1] / "docs" / "keys.md"

HEAD = """# Keys

Every key that Laneway, or Celery on its behalf, has in Redis. Made by `tools/keys_page.py` of
`tasks/broker/keys.py`, the one place that spells them. The roles that may write are those for which
`laneway acl` makes Redis users.

LANE is a lane's name; the braces around it are part of the key. What stands in capitals otherwise
is a name or an id.

| key | type | holds | may be written by |
|---|---|---|---|
"""

_DOCUMENTED = re.compile(
    r"(?P<type>[A-Z][a-z]+(?: [a-z]+)?): (?P<holds>.+?)\n\nWritten by: (?P<by>.+?)\.?", re.DOTALL
)


def page() -> str:
    """The whole page."""
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in _rows())


def _rows() -> Iterator[tuple[str, ...]]:
    for name, function in vars(keys).items():
        if inspect.isfunction(function) and not name.endswith("globs"):
            yield _row(name, function)


def _row(name: str, function: Callable[..., str | list[str]]) -> tuple[str, ...]:
    found = _DOCUMENTED.fullmatch(inspect.getdoc(function) or "")
    if found is None:
        raise SystemExit(
            f"tasks/broker/keys.py: {name} is not documented as `Type: what it holds.`, an empty "
            "line and `Written by: who.`: write it so."
        )
    arguments = [argument.upper() for argument in inspect.signature(function).parameters]
    key = function(*arguments)
    shown = key[0] if isinstance(key, list) else key
    return f"`{shown}`", *(" ".join(text.split()) for text in found.group("type", "holds", "by"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
