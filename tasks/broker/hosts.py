"""Several servers in one URL: `scheme://user:password@host:port,host:port`."""

from dataclasses import dataclass
from urllib.parse import SplitResult, unquote


@dataclass(frozen=True)
class Hosts:
    """The servers of a URL, and who logs in there."""

    places: tuple[tuple[str, int], ...]
    username: str | None
    password: str | None


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
        tuple(_place(place, default_port, whose, example) for place in places.split(",")),
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
