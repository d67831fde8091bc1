"""Fetching over HTTP: hosts, addresses, redirects, sizes, answers."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from laneway.tasks.documents.paths import WebPlace, locate_url
from laneway.tasks.documents.source import read_document
from laneway.tasks.documents.web import checked_addresses, download
from laneway.tasks.errors import (
    DocumentError,
    DocumentNotFound,
    DocumentTooLarge,
    DocumentUnavailable,
    PathNotAllowed,
)
from laneway.tasks.settings import Settings

pytestmark = pytest.mark.unit


@pytest.fixture
def allowed(make_settings: Callable[..., Settings], web: Any) -> Settings:
    return make_settings(document_hosts=(web.host,), document_private_hosts=True)


def test_a_document_is_fetched_with_its_type(allowed: Settings, web: Any) -> None:
    web.answer(200, b"<p>hi</p>", {"Content-Type": "text/html; charset=utf-8"})
    document = read_document(allowed, f"{web.url}/a?b=c", "ann")
    assert (document.content, document.media_type) == (b"<p>hi</p>", "text/html")
    assert web.requests[0].path == "/a?b=c"
    assert web.requests[0].headers["host"] == web.host


def test_a_host_that_is_not_listed_is_refused(
    make_settings: Callable[..., Settings], web: Any
) -> None:
    settings = make_settings(document_hosts=("other.example",), document_private_hosts=True)
    with pytest.raises(PathNotAllowed, match="LANEWAY_DOCUMENT_HOSTS"):
        read_document(settings, web.url, "ann")
    assert web.requests == []


@pytest.mark.parametrize(
    ("hosts", "url", "allowed"),
    [
        (("docs.example",), "https://docs.example/a", True),
        (("docs.example",), "https://DOCS.example./a", True),
        (("docs.example",), "https://docs.example:443/a", True),
        (("docs.example",), "https://docs.example:8443/a", False),
        (("docs.example:8443",), "https://docs.example:8443/a", True),
        (("docs.example",), "https://docs.example.evil.test/a", False),
        (("docs.example",), "https://docs.example@evil.test/a", False),
        (("docs.example",), "https://user@docs.example/a", False),
        (("docs.example",), "http://docs.example/a", False),
        (("docs.example",), "https://docs.example:port/a", False),
    ],
)
def test_hosts_match_by_name_and_port(
    make_settings: Callable[..., Settings], hosts: tuple[str, ...], url: str, allowed: bool
) -> None:
    settings = make_settings(document_hosts=hosts)
    if allowed:
        assert locate_url(settings, url).host == "docs.example"
    else:
        with pytest.raises(PathNotAllowed):
            locate_url(settings, url)


def test_a_redirect_to_another_host_is_refused(allowed: Settings, web: Any) -> None:
    web.answer(302, b"", {"Location": "http://127.0.0.1:1/secret"})
    with pytest.raises(PathNotAllowed, match=r"127\.0\.0\.1:1"):
        read_document(allowed, web.url + "/", "ann")


def test_a_redirect_within_the_host_is_followed(allowed: Settings, web: Any) -> None:
    web.respond = lambda request: (
        (200, b"text", {}) if request.path == "/b" else (301, b"", {"Location": "/b"})
    )
    assert read_document(allowed, web.url + "/a", "ann").content == b"text"


def test_redirects_in_circles_end(allowed: Settings, web: Any) -> None:
    web.answer(302, b"", {"Location": "/again"})
    with pytest.raises(DocumentError, match="circles"):
        read_document(allowed, web.url + "/", "ann")
    assert len(web.requests) < 10


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_an_address_that_is_not_public_is_refused(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    found = [(0, 0, 0, "", ("93.184.215.14", 443)), (0, 0, 0, "", (address, 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    settings = make_settings(document_hosts=("docs.example",))
    with pytest.raises(PathNotAllowed, match="LANEWAY_DOCUMENT_PRIVATE_HOSTS"):
        read_document(settings, "https://docs.example/a", "ann")


def test_public_addresses_are_accepted(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(0, 0, 0, "", (address, 443)) for address in ("93.184.215.14", "2606:4700::1111")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    place = WebPlace("https://docs.example/", "docs.example", 443, "docs.example:443")
    addresses = ["93.184.215.14", "2606:4700::1111"]
    assert checked_addresses(make_settings(), place) == addresses


def _resolve_to_loopback(monkeypatch: pytest.MonkeyPatch, port: int) -> list[str]:
    """A name that leads to loopback once and elsewhere afterwards, as in DNS rebinding."""
    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *args: Any, **kwargs: Any) -> Any:
        if host != "docs.example":
            return real(host, *args, **kwargs)
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "192.0.2.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_the_checked_address_is_the_one_connected_to_and_tls_verifies_the_name(
    make_settings: Callable[..., Settings],
    secure_web: Any,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = _resolve_to_loopback(monkeypatch, secure_web.port)
    place_name = f"docs.example:{secure_web.port}"
    settings = make_settings(document_hosts=(place_name,), document_private_hosts=True)
    trusted = ssl.create_default_context(cafile=str(certificate))
    place = locate_url(settings, f"https://{place_name}/a")
    assert download(settings, place, tls=trusted)[0] == b"secure"
    assert asked == ["docs.example"]
    assert secure_web.requests[0].headers["host"] == place_name


def test_a_certificate_for_another_name_is_final(
    make_settings: Callable[..., Settings], secure_web: Any, certificate: Path
) -> None:
    settings = make_settings(document_hosts=(secure_web.host,), document_private_hosts=True)
    trusted = ssl.create_default_context(cafile=str(certificate))
    place = locate_url(settings, f"https://{secure_web.host}/a")
    with pytest.raises(DocumentError, match="certificate"):
        download(settings, place, tls=trusted)


def test_an_unknown_certificate_is_final(
    make_settings: Callable[..., Settings], secure_web: Any
) -> None:
    settings = make_settings(document_hosts=(secure_web.host,), document_private_hosts=True)
    with pytest.raises(DocumentError, match="certificate"):
        read_document(settings, f"https://{secure_web.host}/a", "ann")


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, DocumentNotFound),
        (410, DocumentNotFound),
        (401, PathNotAllowed),
        (403, PathNotAllowed),
        (400, DocumentError),
        (429, DocumentUnavailable),
        (500, DocumentUnavailable),
        (503, DocumentUnavailable),
    ],
)
def test_each_answer_has_its_error(
    allowed: Settings, web: Any, status: int, error: type[Exception]
) -> None:
    web.answer(status, b"nothing")
    with pytest.raises(error) as caught:
        read_document(allowed, web.url + "/a?token=secret", "ann")
    assert "secret" not in str(caught.value)


def test_the_size_limit_holds_while_streaming(
    make_settings: Callable[..., Settings], web: Any
) -> None:
    settings = make_settings(
        document_hosts=(web.host,), document_private_hosts=True, document_limit_bytes=1_000
    )
    web.answer(200, b"x" * 100_000)  # no Content-Length: the body ends with the connection
    with pytest.raises(DocumentTooLarge):
        read_document(settings, web.url + "/", "ann")


def test_a_host_that_is_down_is_worth_a_retry(
    make_settings: Callable[..., Settings], web: Any
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        settings = make_settings(document_hosts=(host,), document_private_hosts=True)
        with pytest.raises(DocumentUnavailable):
            read_document(settings, f"http://{host}/a", "ann")


def test_a_truncated_answer_is_worth_a_retry(allowed: Settings, web: Any) -> None:
    web.answer(200, b"half", {"Content-Length": "8"})
    with pytest.raises(DocumentUnavailable):
        read_document(allowed, web.url + "/a", "ann")


def test_a_name_that_cannot_be_resolved_is_worth_a_retry(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "try again")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(DocumentUnavailable, match="resolved"):
        read_document(
            make_settings(document_hosts=("docs.example",)), "https://docs.example/a", "ann"
        )
