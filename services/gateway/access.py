"""Who is calling, and whether they may."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from laneway.services.gateway.problems import Problem
from laneway.services.gateway.tokens import ANY_QUEUE, VERBS, Token, TokenFile, Verb
from laneway.tasks.errors import SettingsError
from laneway.tasks.settings import Settings

EVERYBODY = Token(
    name="local", sha256="0" * 64, queues=frozenset({ANY_QUEUE}), verbs=frozenset(VERBS)
)
"""Who calls a gateway without tokens, which only listens on this machine."""

_HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class Caller:
    """The holder of a token."""

    token: Token

    @property
    def owner(self) -> str:
        """The name that an accepted task is noted under."""
        return self.token.name

    def require(self, verb: Verb) -> None:
        """Refuse (403) what the token's verbs do not hold."""
        if verb not in self.token.verbs:
            raise self._forbidden(f"does not allow {verb!r}", f"add {verb!r} to its verbs")

    def require_queue(self, queue: str | None) -> None:
        """Refuse (403) a queue the token does not reach; None is a task of unknown origin."""
        if not self.token.may_use(queue):
            what = f"queue {queue!r}" if queue else "tasks of unknown origin"
            cure = queue or ANY_QUEUE
            raise self._forbidden(f"does not reach {what}", f"add {cure!r} to its queues")

    def require_user(self, user_id: str | None) -> None:
        """Refuse (403) documents of a user the token does not act for; None is everybody."""
        if not self.token.may_act_for(user_id):
            cure = "name one of its users as user_id, or add the user to its users"
            raise self._forbidden("does not act for this user", cure)

    def _forbidden(self, what: str, cure: str) -> Problem:
        return Problem(
            403, "forbidden", f"The token {self.token.name!r} {what}. Use another one, or {cure}."
        )


def token_file(settings: Settings) -> TokenFile | None:
    """The tokens to ask for; None lets everybody in, which only a loopback address allows.

    Raises:
        SettingsError: the file cannot be used, or there is none on an address others can reach.
    """
    if settings.gateway_tokens_file is not None:
        return TokenFile(settings.gateway_tokens_file)
    if is_loopback(split_bind(settings.gateway_bind)[0]):
        return None
    raise SettingsError(
        f"LANEWAY_GATEWAY_BIND: {settings.gateway_bind} can be reached from outside, and "
        "LANEWAY_GATEWAY_TOKENS_FILE is not set, so everybody could submit. Set it "
        "(`laneway token` writes an entry), or bind 127.0.0.1."
    )


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`.

    Raises:
        SettingsError: it is neither.
    """
    host, colon, port = bind.rpartition(":")
    valid = port.isascii() and port.isdigit() and int(port) <= _HIGHEST_PORT
    if not (colon and host and valid):
        raise SettingsError(
            f"LANEWAY_GATEWAY_BIND: {bind!r} is not host:port. Write for example 127.0.0.1:8080."
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_bearer = HTTPBearer(auto_error=False, description="A token of the gateway's tokens file.")


async def _caller(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    tokens: TokenFile | None = request.app.state.gateway.tokens
    if tokens is None:
        _refuse_foreign_page(request)
        return Caller(EVERYBODY)
    if bearer is None:
        raise Problem(
            401, "no_token", "There is no bearer token. Send `Authorization: Bearer TOKEN`."
        )
    token = tokens.find(bearer.credentials)
    if token is None:
        raise Problem(401, "unknown_token", "This bearer token is not known. Ask for a new one.")
    return Caller(token)


def _refuse_foreign_page(request: Request) -> None:
    """Without tokens, a web page open on this machine must not reach the gateway."""
    host = request.url.hostname or ""
    if not is_loopback(host) or request.headers.get("sec-fetch-site", "none") == "cross-site":
        raise Problem(
            403,
            "foreign_host",
            "A gateway without tokens only answers requests to this machine's own name. Call it "
            "as 127.0.0.1 or localhost, or set LANEWAY_GATEWAY_TOKENS_FILE.",
        )


def allowed(verb: Verb) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, who may do `verb`."""

    async def caller(caller: Annotated[Caller, Depends(_caller)]) -> Caller:
        caller.require(verb)
        return caller

    return caller


MaySubmit = Annotated[Caller, Depends(allowed("submit"))]
MayRead = Annotated[Caller, Depends(allowed("read"))]
MayRevoke = Annotated[Caller, Depends(allowed("revoke"))]
MayUpload = Annotated[Caller, Depends(allowed("upload"))]
MaySearch = Annotated[Caller, Depends(allowed("search"))]
MayOperate = Annotated[Caller, Depends(allowed("ops"))]
