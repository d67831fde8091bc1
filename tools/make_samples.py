"""Write the sample documents of `laneway demo`: the same bytes at every run.

    python tools/make_samples.py [FOLDER]

The texts are in `tools/sample_texts/`; a PDF, a DOCX and an HTML page are made of them.
"""

import html
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TEXTS = Path(__file__).with_name("sample_texts")
FOLDER = Path(__file__).parents[1] / "services" / "local" / "samples"
_EPOCH = (2024, 1, 1, 0, 0, 0)

_CONTENT_TYPES = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>
<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-officedocument\
.wordprocessingml.document.main+xml"/></Types>"""
_RELATIONS = """<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships\
/officeDocument" Target="word/document.xml"/></Relationships>"""
_WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


@dataclass(frozen=True)
class Section:
    """A heading and the paragraphs below it."""

    heading: str
    paragraphs: list[str]


@dataclass(frozen=True)
class Text:
    """A document without its form."""

    title: str
    sections: list[Section]


def read_text(name: str) -> Text:
    """Read a text: `# title`, then `## heading` and its paragraphs, with empty lines between."""
    title, *blocks = (TEXTS / f"{name}.md").read_text(encoding="utf-8").strip().split("\n\n")
    sections: list[Section] = []
    for block in blocks:
        if block.startswith("## "):
            sections.append(Section(block.removeprefix("## "), []))
        else:
            sections[-1].paragraphs.append(" ".join(block.split()))
    return Text(title.removeprefix("# "), sections)


def make_pdf(text: Text, path: Path) -> None:
    """A PDF with a page or more for each section."""
    from reportlab.lib.pagesizes import A5
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    styles = getSampleStyleSheet()
    story = [Paragraph(html.escape(text.title), styles["Title"])]
    for number, section in enumerate(text.sections):
        if number:
            story.append(PageBreak())
        story.append(Paragraph(html.escape(section.heading), styles["Heading1"]))
        story += [Paragraph(html.escape(part), styles["BodyText"]) for part in section.paragraphs]
    document = SimpleDocTemplate(str(path), pagesize=A5, title=text.title, invariant=True)
    document.build(story)


def make_docx(text: Text, path: Path) -> None:
    """The smallest package that Word opens, with a page for each section."""
    body = "".join(_word_paragraphs(text))
    document = (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<w:document xmlns:w="{_WORD}"><w:body>{body}<w:sectPr/></w:body></w:document>'
    )
    parts = {
        "[Content_Types].xml": _CONTENT_TYPES,
        "_rels/.rels": _RELATIONS,
        "word/document.xml": document,
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)


def _word_paragraphs(text: Text) -> Iterator[str]:
    yield _word_paragraph(text.title, "<w:rPr><w:b/><w:sz w:val='40'/></w:rPr>")
    for number, section in enumerate(text.sections):
        page = '<w:r><w:br w:type="page"/></w:r>' if number else ""
        yield _word_paragraph(section.heading, "<w:rPr><w:b/><w:sz w:val='30'/></w:rPr>", page)
        for part in section.paragraphs:
            yield _word_paragraph(part)


def _word_paragraph(text: str, look: str = "", before: str = "") -> str:
    return f"<w:p>{before}<w:r>{look}<w:t>{html.escape(text, quote=False)}</w:t></w:r></w:p>"


def make_html(text: Text, path: Path) -> None:
    """One page with a section for each heading."""
    lines = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f"<title>{html.escape(text.title)}</title>\n</head>\n<body>",
        f"<h1>{html.escape(text.title)}</h1>",
    ]
    for section in text.sections:
        lines.append(f"<section>\n<h2>{html.escape(section.heading)}</h2>")
        lines += [f"<p>{html.escape(part)}</p>" for part in section.paragraphs]
        lines.append("</section>")
    path.write_text("\n".join([*lines, "</body>\n</html>\n"]), encoding="utf-8")


def main(folder: Path = FOLDER) -> None:
    """Make all three."""
    folder.mkdir(parents=True, exist_ok=True)
    make_pdf(read_text("beekeeping"), folder / "beekeeping.pdf")
    make_docx(read_text("lighthouse"), folder / "lighthouse.docx")
    make_html(read_text("sourdough"), folder / "sourdough.html")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
