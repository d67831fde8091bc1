"""The page of keys says what the code does."""

import inspect
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from laneway.tasks.broker.acl import User
from laneway.tasks.broker.acl_roles import ROLES, Scope, make_users
from laneway.tasks.queues import load_catalogue

pytestmark = pytest.mark.unit

WRITING = {
    *("lpush", "rpush", "rpop", "ltrim", "set", "setex", "incrby", "del", "publish"),
    *("hset", "hdel", "zadd", "zrem", "zremrangebyscore", "sadd", "srem", "hincrby"),
}
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


def may_write(user: User, key: re.Pattern[str]) -> bool:
    return any(
        key.fullmatch(name)
        for grant in (*user.broker, *user.results)
        if WRITING & set(grant.commands)
        for names in (grant.keys, grant.writes, grant.channels)
        for name in names or ()
    )


def pattern_of(function) -> re.Pattern[str]:
    """What the rules call a key, whichever lane, task or id it is of."""
    (name,) = inspect.signature(function).parameters or ("",)
    key = function(*([0] if name == "database" else ["WORD"] if name else []))
    words = {"lane": "|".join(load_catalogue()), "worker": ".*@.*"}
    plain = re.escape(key[0] if isinstance(key, list) else key)
    return re.compile(plain.replace("WORD", f"(?:{words.get(name, '.*')})"))


def test_who_may_write_a_key_is_who_its_line_names(keys_page) -> None:
    catalogue = load_catalogue()
    roles = [role for role in ROLES if role not in ("admin", "sentinel")]
    users = make_users(Scope(catalogue, lanes=tuple(catalogue)), roles)
    for name, function in vars(keys_page.keys).items():
        if inspect.isfunction(function) and not name.endswith("globs"):
            key = pattern_of(function)
            named = inspect.getdoc(function).rpartition("Written by: ")[2].rstrip(".").split(", ")
            assert {user.role for user in users if may_write(user, key)} == set(named), name
