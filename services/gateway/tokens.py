"""Bearer tokens: a YAML file of hashed tokens, each with what it may do.

- name: shop
  sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  queues: [notifications]        # or ["*"]
  verbs: [submit, read, revoke]  # of submit, read, revoke, upload, search, ops
  users: [alice]                 # optional: whose documents it may upload and search
"""

import hashlib
import hmac
import logging
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from laneway.tasks.contracts import UserId
from laneway.tasks.errors import SettingsError
from laneway.tasks.queues import QueueName

Verb = Literal["submit", "read", "revoke", "upload", "search", "ops"]
VERBS: tuple[Verb, ...] = get_args(Verb)

ANY_QUEUE = "*"
TOKEN_PREFIX = "lwy_"  # noqa: S105 - what a token starts with, so that scanners can find a leak
_TOKEN_BYTES = 32

_log = logging.getLogger(__name__)


class Token(BaseModel):
    """One entry of the tokens file: who, and what they may do."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    queues: Annotated[frozenset[Literal["*"] | QueueName], Field(min_length=1)]
    verbs: Annotated[frozenset[Verb], Field(min_length=1)]
    users: Annotated[frozenset[UserId], Field(min_length=1)] | None = None

    def may_use(self, queue: str | None) -> bool:
        """Whether the token reaches a queue; one of unknown name needs a token for any queue."""
        return ANY_QUEUE in self.queues or (queue is not None and queue in self.queues)

    def may_act_for(self, user_id: str | None) -> bool:
        """Whether the token reaches a user's documents; None stands for everybody's."""
        return self.users is None or (user_id is not None and user_id in self.users)


class TokenFile:
    """The tokens of a file, read again when it changes.

    Raises:
        SettingsError: at creation, if the file cannot be used; names the entry and the cure.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = _version(path)
        self._tokens = read_tokens(path)

    def find(self, bearer: str) -> Token | None:
        """The entry of a presented token. Takes the same time whichever entry it is."""
        self._refresh()
        digest = hashlib.sha256(bearer.encode("utf-8", "replace")).hexdigest()
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _refresh(self) -> None:
        """A change that cannot be used is logged; the tokens known so far stay good."""
        try:
            version = _version(self._path)
            if version == self._version:
                return
            self._version = version
            self._tokens = read_tokens(self._path)
        except SettingsError as error:
            _log.error("The tokens file has changed, but the tokens stay as they were: %s", error)


def read_tokens(path: Path) -> list[Token]:
    """Read a tokens file.

    Raises:
        SettingsError: names the file, the entry, the reason and the cure.
    """
    entries = _entries(path)
    tokens = [_token(path, number, entry) for number, entry in enumerate(entries, start=1)]
    for what in ("name", "sha256"):
        seen = [getattr(token, what) for token in tokens]
        twice = sorted({value for value in seen if seen.count(value) > 1})
        if twice:
            raise SettingsError(f"{path}: the {what} {twice[0]} is given twice. Remove one entry.")
    return tokens


def new_token(
    name: str,
    queues: Iterable[str] = (ANY_QUEUE,),
    verbs: Iterable[str] = ("submit", "read", "revoke"),
    users: Iterable[str] | None = None,
) -> tuple[str, str]:
    """Make a token: the secret for its holder, and the YAML entry for the tokens file.

    Raises:
        SettingsError: a name, queue, verb or user is not valid.
    """
    secret = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    entry: dict[str, Any] = {
        "name": name,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "queues": list(queues),
        "verbs": list(verbs),
    }
    if users is not None:
        entry["users"] = list(users)
    _token(Path("new token"), 1, entry)
    return secret, yaml.safe_dump([entry], sort_keys=False, default_flow_style=None)


def _version(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _entries(path: Path) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return TypeAdapter(list[Any]).validate_python(content)
    except OSError as error:
        raise _unreadable(path, error) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValidationError):
        # YAML's own message would quote the line, which may hold a secret by mistake.
        raise SettingsError(
            f"{path}: is no YAML list of tokens. `laneway token` writes an entry."
        ) from None


def _unreadable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(
        f"LANEWAY_GATEWAY_TOKENS_FILE: {path} cannot be read ({error.strerror}). Mount it there, "
        "or let the gateway read it."
    )


def _token(path: Path, number: int, entry: Any) -> Token:
    try:
        return Token.model_validate(entry)
    except ValidationError as error:
        name = entry.get("name") if isinstance(entry, dict) else None
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'entry'}: {one['msg']}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(
            f"{path}: entry {number} ({name or 'without a name'}): {problems}. Correct it; "
            "`laneway token` writes a new one."
        ) from None
