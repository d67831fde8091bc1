"""Uploads: a file's bytes on their way from the socket into the store, never whole in memory."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from anyio import CapacityLimiter, from_thread, to_thread
from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from laneway.services.gateway.bodies import drain, parts_of
from laneway.services.gateway.problems import Problem
from laneway.tasks.documents.uploads import StoredDocument, store_upload
from laneway.tasks.settings import Settings

MOST_UPLOADS = 32
"""Uploads stored at once; further ones wait, without a thread."""

ENVELOPE_BYTES = 16 * 2**10
"""What a multipart body may add to its file."""


class Uploads:
    """Stores what requests bring."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._limiter: CapacityLimiter | None = None

    async def store(self, request: Request, user_id: str, filename: str | None) -> StoredDocument:
        """Store the file of a request: its body, or the one file of a multipart body.

        Args:
            request: of which nothing was read yet.
            user_id: the owner.
            filename: if not given, the one that the multipart body names.

        Raises:
            Problem: 400, 408, 413 or 422, about the body.
            LanewayError: the store's answer.
        """
        try:
            self._check_declared_size(request)
            named, content = await _file_of(request)
            return await self._in_thread(user_id, _required(filename or named), content)
        except Exception:
            await drain(request)
            raise

    async def _in_thread(
        self, user_id: str, filename: str, content: AsyncIterator[bytes]
    ) -> StoredDocument:
        self._limiter = self._limiter or CapacityLimiter(MOST_UPLOADS)
        return await to_thread.run_sync(
            lambda: store_upload(self._settings, user_id, filename, _pulled(content)),
            limiter=self._limiter,
        )

    def _check_declared_size(self, request: Request) -> None:
        declared = request.headers.get("content-length", "0")
        limit_bytes = self._settings.document_limit_bytes
        if declared.isdigit() and int(declared) > limit_bytes + ENVELOPE_BYTES:
            raise Problem(
                413,
                "document_too_large",
                f"The document is larger than {limit_bytes} bytes. Split it, or raise "
                "LANEWAY_DOCUMENT_LIMIT_BYTES.",
                {"limit_bytes": limit_bytes},
            )


async def _file_of(request: Request) -> tuple[str | None, AsyncIterator[bytes]]:
    """What the body calls its file, and the file's bytes."""
    boundary = _boundary(request)
    if boundary is None:
        return None, parts_of(request)
    upload = MultipartFile(boundary, parts_of(request))
    return await upload.filename(), upload.content()


def _required(filename: str | None) -> str:
    if not filename:
        raise Problem(422, "no_filename", "The document has no name. Send it as ?filename=NAME.")
    return filename


def _pulled(content: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The parts, pulled by the storing thread: a slow store slows its sender."""
    empty = True
    while True:
        part = from_thread.run(_next, content)
        if part is None:
            break
        empty = False
        yield part
    if empty:
        raise Problem(422, "empty_document", "The document is empty. Send its bytes as the body.")


async def _next(content: AsyncIterator[bytes]) -> bytes | None:
    return await anext(content, None)


class MultipartFile:
    """The one file of a multipart body, as it arrives."""

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = b"", b""
        self._parts, self._ended = 0, False
        self._headers_read = False
        self._ready: list[bytes] = []
        self._parser = MultipartParser(boundary, self._callbacks())

    async def filename(self) -> str | None:
        """The file's name; read before its content."""
        while not self._headers_read:
            if not await self._feed():
                raise _malformed("it ends before a file begins")
        # Byte by byte, as the parser encodes it again; a name in UTF-8 comes through whole.
        disposition = self._headers.get(b"content-disposition", b"").decode("latin-1")
        _, options = parse_options_header(disposition)
        name = options.get(b"filename")
        if name is None:
            raise Problem(
                422,
                "unexpected_form_field",
                "A form holds one file and no other field. Send user_id, collection and the like "
                "in the query.",
            )
        return name.decode("utf-8", "replace")

    async def content(self) -> AsyncIterator[bytes]:
        """The file's bytes in parts."""
        while True:
            for part in self._ready:
                yield part
            self._ready.clear()
            if not await self._feed():
                break
        if not self._ended:
            raise _malformed("it ends in the middle of the file")

    async def _feed(self) -> bool:
        part = await anext(self._body, None)
        if part is None:
            return False
        try:
            self._parser.write(part)
        except FormParserError as error:
            raise _malformed(str(error)) from None
        return True

    def _callbacks(self) -> Any:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._on_field,
            "on_header_value": self._on_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers,
            "on_part_data": self._on_data,
            "on_end": self._on_end,
        }

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Problem(422, "too_many_parts", "A form holds one file. Send one at a time.")

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field, self._value = b"", b""

    def _on_headers(self) -> None:
        self._headers_read = True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._ready.append(bytes(data[start:end]))

    def _on_end(self) -> None:
        self._ended = True


def _boundary(request: Request) -> bytes | None:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        return None
    boundary = options.get(b"boundary")
    if not boundary or len(boundary) > 70:  # noqa: PLR2004 - RFC 2046's own limit
        raise _malformed("its Content-Type names no usable boundary")
    return boundary


def _malformed(reason: str) -> Problem:
    return Problem(
        400, "invalid_multipart", f"The multipart body cannot be read: {reason}. Send it again."
    )
