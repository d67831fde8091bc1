"""Turn a document into text. The content decides its kind; the name only tells texts apart."""

import re
from enum import Enum

from laneway.tasks.documents.archives import archive_names, check_archive
from laneway.tasks.documents.source import Document
from laneway.tasks.errors import (
    DocumentEmpty,
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentUnreadable,
)


class Kind(Enum):
    """The kinds of document that are read; the value is the media type."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"


_OFFICE = {
    "word/document.xml": Kind.DOCX,
    "ppt/presentation.xml": Kind.PPTX,
    "xl/workbook.xml": Kind.XLSX,
}
_HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})
_MARKDOWN_SUFFIXES = frozenset({".md", ".markdown"})
_OLE = bytes.fromhex("d0cf11e0a1b11ae1")
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_HTML_START = re.compile(
    r"\s*(<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_PDF_HEADER_WITHIN = 1024
_HEAD = 4096


def extract(document: Document, unpacked_limit_bytes: int) -> tuple[Kind, str]:
    """The kind and the text of a document. Nothing is downloaded, and no image is read.

    Raises:
        DocumentUnreadable: damaged, or of a kind that is not supported.
        DocumentEncrypted: wants a password.
        DocumentTooLarge: unpacks to more than `unpacked_limit_bytes`.
        DocumentEmpty: holds no text.
    """
    kind = kind_of(document)
    if kind in _OFFICE.values():
        check_archive(document.content, document.shown, unpacked_limit_bytes)
    if kind in {Kind.TEXT, Kind.MARKDOWN}:
        text = _decoded(document)
    elif kind is Kind.HTML:
        text = _extracted(document, kind, _decoded(document).encode())
    else:
        text = _extracted(document, kind, document.content)
    if len(text) > unpacked_limit_bytes:
        raise DocumentTooLarge(
            f"{document.shown}: holds more than {unpacked_limit_bytes} characters. Split it."
        )
    if not text.strip():
        raise DocumentEmpty(
            f"{document.shown}: holds no text. A scan needs its text recognised before."
        )
    return kind, text


def kind_of(document: Document) -> Kind:
    """Recognise a document.

    Raises:
        DocumentUnreadable: damaged, or of a kind that is not supported.
        DocumentEncrypted: an Office document with a password.
    """
    content = document.content
    if b"%PDF-" in content[:_PDF_HEADER_WITHIN]:
        return Kind.PDF
    if content.startswith(b"PK"):
        return _office_kind(document)
    if content.startswith(_OLE) and _ENCRYPTED_STREAM in content:
        raise DocumentEncrypted(f"{document.shown}: wants a password. Save it without one.")
    if document.suffix in _HTML_SUFFIXES or document.media_type == Kind.HTML.value:
        return Kind.HTML
    if _HTML_START.match(_decoded(document)[:_HEAD]):
        return Kind.HTML
    if document.suffix in _MARKDOWN_SUFFIXES or document.media_type == Kind.MARKDOWN.value:
        return Kind.MARKDOWN
    return Kind.TEXT


def _office_kind(document: Document) -> Kind:
    names = archive_names(document.content, document.shown)
    for part, kind in _OFFICE.items():
        if part in names:
            return kind
    raise _unsupported(document)


def _decoded(document: Document) -> str:
    """The text of a text file: by its byte order mark, as UTF-8, by its charset, as cp1252."""
    content = document.content
    encodings = ["utf-8-sig"]
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif declared := _CHARSET.search(content[:_HEAD]):
        encodings.append(declared[1].decode())
    for encoding in (*encodings, "cp1252"):
        try:
            text = content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
        if _CONTROL.search(text):
            break
        return text
    raise _unsupported(document)


def _extracted(document: Document, kind: Kind, content: bytes) -> str:
    from kreuzberg import ExtractionConfig, extract_bytes_sync
    from kreuzberg.exceptions import KreuzbergError

    config = ExtractionConfig(use_cache=False, disable_ocr=True)
    config.max_archive_depth = 0  # documents inside documents were not counted when unpacking
    try:
        text: str = extract_bytes_sync(content, kind.value, config).content
    except (KreuzbergError, ValueError, RuntimeError, OSError) as error:
        if "password" in str(error).lower():
            raise DocumentEncrypted(
                f"{document.shown}: wants a password. Save it without one."
            ) from None
        # The extractor's own message may quote the document.
        raise DocumentUnreadable(
            f"{document.shown}: is damaged ({kind.name} that cannot be parsed). "
            "Save or upload it again."
        ) from None
    return text


def _unsupported(document: Document) -> DocumentUnreadable:
    kinds = ", ".join(kind.name for kind in Kind)
    return DocumentUnreadable(
        f"{document.shown}: is of no supported kind. Supported: {kinds}. Convert it to one."
    )
