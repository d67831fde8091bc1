"""Redis users with the least rights: what a user may do, and how Redis is told.

Who the users are is in `acl_roles.py`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from laneway.tasks.broker.scripting import script

RedisVersion = Literal["6.2", "7.0", "7.2", "8"]
"""The oldest Redis that understands the rules; Valkey is as 7.2."""

_SINCE = {"waitaof": "7.2"}
"""Commands that an older Redis does not know, and would refuse the whole file for."""

_INTRODUCTION = ("client|setinfo",)
_INTRODUCTIONS: dict[str, tuple[str, ...]] = {
    # 6.2 logs a subcommand that it does not know as refused, unless it is allowed.
    "6.2": (*_INTRODUCTION, "client|maint_notifications"),
    # 7.0 refuses a file that names one, and logs nothing.
    "7.0": (),
}

_CALL = re.compile(r"redis\.p?call\(\s*'(\w+)'")
_FUNCTION = re.compile(r"^local function (\w+)\b.*?^end$", re.MULTILINE | re.DOTALL)


class Grant(NamedTuple):
    """Commands with the keys and channels that they may name.

    `keys` may be read and written by these commands, `reads` only read, `writes` only written. A
    script's keys have to be `keys`, whatever it does with them. A grant without any of them is for
    commands that name none.
    """

    commands: tuple[str, ...]
    keys: tuple[str, ...] | None = None
    reads: tuple[str, ...] | None = None
    writes: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None

    @property
    def is_bare(self) -> bool:
        """Whether its commands name nothing."""
        return all(names is None for names in self[1:])

    @property
    def is_void(self) -> bool:
        """Whether its commands would name something, and there is nothing."""
        return not self.is_bare and not any(self[1:])

    def rules(self) -> list[str]:
        """As Redis 7.0 and newer understand it."""
        words = zip(("+", "~", "%R~", "%W~", "&"), self, strict=True)
        return list(dict.fromkeys(f"{sign}{name}" for sign, names in words for name in names or ()))


@dataclass(frozen=True)
class User:
    """One user. What `broker` grants is for the server of the lanes, `results` for that of results.

    `queue` is the lane of a worker's user.
    """

    name: str
    role: str
    queue: str | None = None
    broker: tuple[Grant, ...] = ()
    results: tuple[Grant, ...] = ()


Server = Literal["broker", "results", "both"]


def rules(user: User, version: RedisVersion, server: Server = "both") -> list[str]:
    """The rules of a user, without its name and password; empty if it has no business there.

    From 7.0 on each grant is a selector of its own: its commands reach its keys alone. In 6.2 all
    commands of a user reach all its keys, and reading is not told from writing.
    """
    grants = {
        "broker": user.broker,
        "results": user.results,
        "both": (*user.broker, *user.results),
    }[server]
    known = [_known(grant, version) for grant in grants if not grant.is_void]
    if not known:
        return []
    bare = _merged([_connection(version), *(grant for grant in known if grant.is_bare)])
    named = [grant for grant in known if not grant.is_bare]
    if version == "6.2":
        found = _merged([bare, *named])
        every = [name for names in found[1:4] for name in names or ()]
        return found._replace(keys=tuple(every), reads=None, writes=None).rules()
    selectors = dict.fromkeys(f"({' '.join(grant.rules())})" for grant in named)
    return [*bare.rules(), *selectors]


def file_line(user: User, rules: Iterable[str], password: str) -> str:
    """A line of a file that Redis's `aclfile` names. `password` is a hash: `#…`."""
    return " ".join(["user", user.name, *_BEGINNING, password, *rules])


def command_line(user: User, rules: Iterable[str], password: str) -> str:
    """A command for `redis-cli`, which makes or replaces the user."""
    return " ".join(["ACL", "SETUSER", user.name, "reset", *_BEGINNING, password, *rules])


_BEGINNING = ("resetkeys", "resetchannels", "-@all", "on")

# Nobody can be a user who is off. Its rights stay for Redis itself, which loads its append-only file as
# this user and drops every transaction in it that the user may not do (redis#14541, valkey#3983).
_OFF = "default off resetpass ~* &* +@all"
DEFAULT_OFF_FILE = f"user {_OFF}"
DEFAULT_OFF_COMMAND = f"ACL SETUSER {_OFF}"


def script_commands(name: str) -> tuple[str, ...]:
    """The commands of `scripts/NAME.lua`, those of the shared functions included that it calls."""
    source = script(name).source
    functions = {found[1]: found[0] for found in _FUNCTION.finditer(source)}
    text, found = _FUNCTION.sub("", source), dict[str, None]()
    while text:
        found |= dict.fromkeys(called(text))
        used = [name for name in functions if re.search(rf"\b{name}\b", text)]
        text = "".join(functions.pop(name) for name in used)
    return tuple(found)


def called(lua: str) -> list[str]:
    """The commands that a Lua text gives to Redis."""
    return list(dict.fromkeys(command.lower() for command in _CALL.findall(lua)))


def _connection(version: RedisVersion) -> Grant:
    """What every client asks for, and says of itself."""
    return Grant(("ping", "select", *_INTRODUCTIONS.get(version, _INTRODUCTION)))


def _known(grant: Grant, version: RedisVersion) -> Grant:
    commands = (c for c in grant.commands if float(_SINCE.get(c, "0")) <= float(version))
    return grant._replace(commands=tuple(commands))


def _merged(grants: Iterable[Grant]) -> Grant:
    columns = zip(*grants, strict=True)
    return Grant(*(tuple(name for names in column for name in names or ()) for column in columns))
