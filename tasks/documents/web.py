"""Fetch a document over HTTP from an allowed host, at an address that was checked.

The name is resolved once, every address is checked, and the connection goes to one of them: a
name that resolves to something else a moment later (DNS rebinding) leads nowhere. TLS still
verifies the certificate of the name.
"""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from ssl import SSLContext
from typing import Any
from urllib.parse import urljoin

from laneway.tasks.documents.paths import WebPlace, locate_url, shown
from laneway.tasks.errors import (
    DocumentError,
    DocumentNotFound,
    DocumentTooLarge,
    DocumentUnavailable,
    PathNotAllowed,
)
from laneway.tasks.settings import Settings

_MAX_REDIRECTS = 5
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 30.0
_RETRIED = frozenset({408, 425, 429})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def download(
    settings: Settings, place: WebPlace, tls: SSLContext | None = None
) -> tuple[bytes, str | None]:
    """Fetch a document.

    Args:
        settings: hosts, size limit, and whether private addresses are allowed.
        place: what `locate` answered.
        tls: trust other certificates than the system's.

    Returns:
        The content, and the Content-Type without its parameters.

    Raises:
        PathNotAllowed: a redirect or an address leads where it may not.
        DocumentNotFound, DocumentTooLarge, DocumentError: the server's last word.
        DocumentUnavailable: worth a retry.
    """
    import httpx2

    with httpx2.Client(
        timeout=httpx2.Timeout(_READ_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S),
        trust_env=False,  # a proxy would resolve the name again
        verify=tls if tls is not None else True,
        headers={"Accept-Encoding": "identity", "User-Agent": "laneway"},
    ) as client:
        for _ in range(_MAX_REDIRECTS + 1):
            with _answer(client, settings, place) as response:
                if not response.has_redirect_location:
                    return _content(settings, place, response), _media_type(response)
                place = locate_url(settings, urljoin(place.name, response.headers["location"]))
    raise DocumentError(f"{shown(place.name)}: redirects in circles. Use the final URL.")


def checked_addresses(settings: Settings, place: WebPlace) -> list[str]:
    """The addresses of a host, all of them public unless the settings allow others.

    Raises:
        PathNotAllowed: one of them is private, loopback, link-local or reserved.
        DocumentUnavailable: the name cannot be resolved at the moment.
    """
    try:
        found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise DocumentUnavailable(
            f"{shown(place.name)}: the name {place.host} cannot be resolved. Check it, and the DNS."
        ) from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not settings.document_private_hosts and not all(map(_is_public, addresses)):
        raise PathNotAllowed(
            f"{shown(place.name)}: {place.host} has an address that is not public. Set "
            "LANEWAY_DOCUMENT_PRIVATE_HOSTS=true to allow documents from private networks."
        )
    return addresses


def _is_public(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


@contextmanager
def _answer(client: Any, settings: Settings, place: WebPlace) -> Iterator[Any]:
    """The response of the first of the host's addresses that takes the connection."""
    import httpx2

    addresses = checked_addresses(settings, place)
    try:
        response = _first_connected(client, place, addresses)
        try:
            yield response
        finally:
            response.close()
    except httpx2.TransportError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise DocumentError(
                f"{shown(place.name)}: the certificate of {place.host} is not trusted. "
                "Use a host with a valid one."
            ) from error
        raise DocumentUnavailable(
            f"{shown(place.name)}: {place.address} does not answer ({type(error).__name__}). "
            "It is tried again; if it stays so, check the host and the network policy."
        ) from error


def _first_connected(client: Any, place: WebPlace, addresses: list[str]) -> Any:
    import httpx2

    for number, address in enumerate(addresses, start=1):
        request = client.build_request(
            "GET",
            httpx2.URL(place.name).copy_with(host=address, port=place.port),
            headers={"Host": place.address},
            extensions={"sni_hostname": place.host},
        )
        try:
            return client.send(request, stream=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            if number == len(addresses):
                raise
    raise DocumentUnavailable(f"{shown(place.name)}: {place.host} has no address.")


def _content(settings: Settings, place: WebPlace, response: Any) -> bytes:
    _check_status(place, response.status_code)
    limit_bytes = settings.document_limit_bytes
    content = bytearray()
    for part in response.iter_bytes():
        content += part
        if len(content) > limit_bytes:
            raise DocumentTooLarge(
                f"{shown(place.name)}: is larger than {limit_bytes} bytes. "
                "Split it, or raise LANEWAY_DOCUMENT_LIMIT_BYTES."
            )
    return bytes(content)


def _check_status(place: WebPlace, status: int) -> None:
    if status in {404, 410}:
        raise DocumentNotFound(f"{shown(place.name)}: not found (HTTP {status}). Check the URL.")
    if status in {401, 403}:
        raise PathNotAllowed(
            f"{shown(place.name)}: the host refuses access (HTTP {status}). Use a signed URL."
        )
    if status in _RETRIED or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise DocumentUnavailable(
            f"{shown(place.name)}: the host is busy or broken (HTTP {status}). It is tried again."
        )
    if status != HTTPStatus.OK:
        raise DocumentError(
            f"{shown(place.name)}: the host answers HTTP {status}. Use a URL that answers 200."
        )


def _media_type(response: Any) -> str | None:
    value: str = response.headers.get("content-type", "")
    return value.partition(";")[0].strip().lower() or None
