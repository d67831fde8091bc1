"""Text of every supported kind, and a clear word about everything else."""

import io
import struct
import zipfile
from collections.abc import Callable

import pypdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from laneway.services.local.samples import SAMPLES, Sample
from laneway.tasks.documents.extract import Kind, extract
from laneway.tasks.documents.source import Document
from laneway.tasks.errors import (
    DocumentEmpty,
    DocumentEncrypted,
    DocumentTooLarge,
    DocumentUnreadable,
)

pytestmark = pytest.mark.unit

LIMIT_BYTES = 50 << 20
MakeZip = Callable[[dict[str, bytes | str]], bytes]

DOCX_BODY = (
    '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
    "<w:p><w:r><w:t>{}</w:t></w:r></w:p></w:body></w:document>"
)


def pdf(*lines: str) -> bytes:
    buffer = io.BytesIO()
    canvas = Canvas(buffer)
    for line in lines:
        canvas.drawString(72, 700, line)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()


def protected(content: bytes, user: str, owner: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(content))
    writer.encrypt(user, owner, algorithm="RC4-128")
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def text_of(name: str, content: bytes, media_type: str | None = None) -> tuple[Kind, str]:
    return extract(Document(name, content, media_type), LIMIT_BYTES)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.filename)
def test_every_sample_holds_its_sentence(sample: Sample) -> None:
    kind, text = text_of(str(sample.path), sample.path.read_bytes())
    assert kind.name.lower() == sample.path.suffix[1:]
    assert sample.sentence in " ".join(text.split())


def test_a_pdf_is_read_page_by_page() -> None:
    kind, text = text_of("/a", pdf("first page", "second page"))
    assert kind is Kind.PDF
    assert text.index("first page") < text.index("second page")


def test_a_presentation_is_read(make_zip: MakeZip) -> None:
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    content = make_zip(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
            "ppt/presentation.xml": '<p:presentation xmlns:p="http://schemas.openxmlformats.org/'
            f'presentationml/2006/main" xmlns:r="{office}"><p:sldIdLst><p:sldId id="256" '
            'r:id="rId1"/></p:sldIdLst></p:presentation>',
            "ppt/_rels/presentation.xml.rels": f'<Relationships xmlns="{relations}"><Relationship '
            f'Id="rId1" Type="{office}/slide" Target="slides/slide1.xml"/></Relationships>',
            "ppt/slides/slide1.xml": '<p:sld xmlns:p="http://schemas.openxmlformats.org/'
            'presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/'
            'main"><p:cSld><p:spTree><p:sp><p:txBody><a:p><a:r><a:t>bees on a slide</a:t></a:r>'
            "</a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
        }
    )
    kind, text = text_of("/a.pptx", content)
    assert kind is Kind.PPTX
    assert "bees on a slide" in text


def test_a_workbook_is_read(make_zip: MakeZip) -> None:
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    content = make_zip(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="rId1" '
            f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet '
            'name="Hives" sheetId="1" r:id="rId1"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{relations}"><Relationship '
            f'Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
            "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData><row r="1"><c '
            'r="A1" t="inlineStr"><is><t>bees in a cell</t></is></c></row></sheetData></worksheet>',
        }
    )
    kind, text = text_of("/a.xlsx", content)
    assert kind is Kind.XLSX
    assert "bees in a cell" in text


@pytest.mark.parametrize(
    ("name", "media_type", "content", "kind"),
    [
        ("/a.html", None, b"<p>hello</p>", Kind.HTML),
        ("/a", "text/html", b"<p>hello</p>", Kind.HTML),
        ("/a", None, b"\n<!DOCTYPE html><p>hello</p>", Kind.HTML),
        ("/a.md", None, b"# hello", Kind.MARKDOWN),
        ("https://host/a.MD?x=y.txt", None, b"# hello", Kind.MARKDOWN),
        ("/a.txt", None, b"hello", Kind.TEXT),
        ("/a", None, b"hello", Kind.TEXT),
        ("/lies.txt", "text/plain", pdf("hello"), Kind.PDF),
    ],
)
def test_the_content_decides_the_kind(
    name: str, media_type: str | None, content: bytes, kind: Kind
) -> None:
    found, text = text_of(name, content, media_type)
    assert found is kind
    assert "hello" in text
    assert "<" not in text


@pytest.mark.parametrize(
    "content",
    [
        "Grüße".encode(),
        "Grüße".encode("utf-8-sig"),
        "Grüße".encode("utf-16"),
        "Grüße".encode("cp1252"),
        b"<meta charset='iso-8859-1'>" + "Grüße".encode("latin-1"),
    ],
)
def test_text_is_decoded_by_mark_charset_or_habit(content: bytes) -> None:
    assert "Grüße" in text_of("/a.txt", content)[1]


def test_scripts_are_no_text() -> None:
    assert "alert" not in text_of("/a.html", b"<p>hello</p><script>alert(1)</script>")[1]


def test_a_damaged_pdf_is_unreadable() -> None:
    with pytest.raises(DocumentUnreadable, match="damaged"):
        text_of("/a.pdf", pdf("hello")[:200])


def test_a_damaged_archive_is_unreadable(make_zip: MakeZip) -> None:
    content = make_zip({"word/document.xml": DOCX_BODY.format("hello " * 1_000)})
    broken = bytearray(content)
    broken[60:90] = b"\xff" * 30
    for damaged in (bytes(broken), content[:50], b"PK\x03\x04 and no more"):
        with pytest.raises(DocumentUnreadable):
            text_of("/a.docx", damaged)


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n" + bytes(100), bytes(range(256)), bytes.fromhex("d0cf11e0a1b11ae1")],
)
def test_another_kind_is_refused_with_the_list_of_kinds(content: bytes) -> None:
    with pytest.raises(DocumentUnreadable, match="PDF, DOCX, PPTX, XLSX, HTML, MARKDOWN, TEXT"):
        text_of("/a.txt", content)


def test_an_archive_that_is_no_document_is_refused(make_zip: MakeZip) -> None:
    with pytest.raises(DocumentUnreadable, match="Supported"):
        text_of("/a.docx", make_zip({"readme.txt": "hello"}))


def test_a_pdf_with_a_password_is_encrypted() -> None:
    with pytest.raises(DocumentEncrypted):
        text_of("/a.pdf", protected(pdf("hello"), user="secret", owner="secret"))


def test_a_pdf_that_only_forbids_changes_is_read() -> None:
    assert "hello" in text_of("/a.pdf", protected(pdf("hello"), user="", owner="secret"))[1]


def test_an_office_document_with_a_password_is_encrypted() -> None:
    content = (
        bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500) + "EncryptedPackage".encode("utf-16-le")
    )
    with pytest.raises(DocumentEncrypted):
        text_of("/a.docx", content)


def test_an_archive_with_a_password_is_encrypted(make_zip: MakeZip) -> None:
    content = bytearray(make_zip({"word/document.xml": DOCX_BODY.format("hello")}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 8] |= 1
    content[6] |= 1
    with pytest.raises(DocumentEncrypted):
        text_of("/a.docx", bytes(content))


@pytest.mark.parametrize(
    ("name", "content"),
    [("/a.txt", b""), ("/a.md", b" \n\t "), ("/a.html", b"<p></p>"), ("/a.pdf", pdf(""))],
)
def test_a_document_without_text_is_empty(name: str, content: bytes) -> None:
    with pytest.raises(DocumentEmpty):
        text_of(name, content)


def test_a_zip_bomb_is_refused_by_what_it_declares(make_zip: MakeZip) -> None:
    bomb = make_zip({"word/document.xml": b" " * (LIMIT_BYTES + 1)})
    assert len(bomb) < 100_000
    with pytest.raises(DocumentTooLarge):
        text_of("/a.docx", bomb)


def test_a_zip_bomb_that_lies_about_its_size_is_refused(make_zip: MakeZip) -> None:
    bomb = bytearray(make_zip({"word/document.xml": b" " * (LIMIT_BYTES + 1)}))
    for header, field in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = bomb.index(header) + field
        bomb[place : place + 4] = struct.pack("<I", 100)
    with pytest.raises((DocumentTooLarge, DocumentUnreadable)):
        text_of("/a.docx", bytes(bomb))


def test_a_zip_bomb_within_the_limit_is_refused_by_its_ratio(make_zip: MakeZip) -> None:
    bomb = make_zip({"word/document.xml": b" " * (LIMIT_BYTES - 1)})
    with pytest.raises(DocumentTooLarge):
        text_of("/a.docx", bomb)


def test_entries_that_share_their_bytes_count_each_time(make_zip: MakeZip) -> None:
    content = make_zip({"word/document.xml": b"x" * 1_000_000})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (entry,) = archive.infolist()
    tail_at = content.index(b"PK\x01\x02")
    end_at = content.index(b"PK\x05\x06")
    record, count = content[tail_at:end_at], 100
    directory = record * count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, len(directory), tail_at, 0)
    assert entry.file_size == 1_000_000
    with pytest.raises((DocumentTooLarge, DocumentUnreadable)):
        text_of("/a.docx", content[:tail_at] + directory + end)


def test_messages_hold_no_text_of_the_document(make_zip: MakeZip) -> None:
    content = make_zip({"word/document.xml": "<w:document>confidential"})
    with pytest.raises((DocumentUnreadable, DocumentEmpty)) as caught:
        text_of("/a.docx", content)
    assert "confidential" not in str(caught.value)
