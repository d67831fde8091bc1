"""Redis URLs that name several servers: `scheme://user:password@host:port,host:port`."""

from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit, urlunsplit

SENTINEL = "sentinel"
SENTINEL_EXAMPLE = "sentinel://one:26379,two:26379/0?master=NAME"


@dataclass(frozen=True)
class Hosts:
    """The servers of a URL, and who logs in there."""

    places: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None


@dataclass(frozen=True)
class SentinelUrl:
    """Where the Sentinels are, and what they call the primary."""

    hosts: tuple[tuple[str, int], ...]
    master: str
    db: int = 0
    username: str | None = None
    password: str | None = None


def without_login(url: str) -> str:
    """The URL without user and password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def is_sentinel(url: str) -> bool:
    """Whether a URL names Sentinels rather than a Redis."""
    return url.partition("://")[0].lower() == SENTINEL


def parse_sentinel(url: str) -> SentinelUrl:
    """Read a URL.

    Raises:
        ValueError: it makes no sense; says why, without the password.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # whose own message would quote the URL, password and all
        raise ValueError(
            f"it is no URL such as {SENTINEL_EXAMPLE}; percent-encode what is special in a user or "
            "password"
        ) from None
    masters = parse_qs(parts.query).get("master", [])
    if len(masters) != 1:
        raise ValueError(
            "a sentinel:// URL must name the primary, as in sentinel://host:26379/0?master=NAME"
        )
    db = parts.path.strip("/") or "0"
    if not db.isdecimal():
        raise ValueError(f"{db!r} is no number of a database, as the 0 in sentinel://host/0 is")
    hosts = parse_hosts(parts, 26_379, "a Sentinel", SENTINEL_EXAMPLE)
    return SentinelUrl(hosts.places, masters[0], int(db), hosts.username, hosts.password)


def parse_hosts(parts: SplitResult, default_port: int, whose: str, example: str) -> Hosts:
    """Read the servers of a URL.

    Args:
        parts: the URL.
        default_port: of a server that names none.
        whose: what the servers are, for the error.
        example: a URL that is right, for the error.

    Raises:
        ValueError: a server makes no sense; the message holds no password.
    """
    login, _, places = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    return Hosts(
        tuple(_place(place, default_port, whose, example) for place in unquote(places).split(",")),
        unquote(username) or None,
        unquote(password) or None,
    )


def _place(place: str, default_port: int, whose: str, example: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):  # an IPv6 address without a port
        host, port = place, str(default_port)
    if not host or not port.isdecimal():
        raise ValueError(
            f"{place!r} is no host:port of {whose}; several are parted by commas, as in {example}"
        )
    return host.strip("[]"), int(port)
