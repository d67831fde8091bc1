"""The API page: what the OpenAPI document says, as HTML that loads nothing from elsewhere."""

import json
from collections.abc import Iterator
from html import escape
from typing import Any

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem }
code, pre { font: 14px/1.5 ui-monospace, monospace } pre { overflow-x: auto }
section { border-top: 1px solid #8886; padding: .5rem 0 } h2 { margin-top: 2.5rem }
h3 { margin: .5rem 0; font-weight: 500 } b.method { display: inline-block; min-width: 5rem }
table { border-collapse: collapse } td { padding: .1rem 1rem .1rem 0; vertical-align: top }
.quiet { opacity: .7 }
"""


def render(document: dict[str, Any]) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style>"
        f"<h1>{escape(info['title'])} <small class=quiet>{escape(info['version'])}</small></h1>"
        f"<p>{escape(info.get('description', ''))}</p>"
        "<p>The whole of it, for tools: <a href='/openapi.json'>openapi.json</a></p>"
        f"<h2>What can be submitted</h2><table>{''.join(_tasks(document))}</table>"
        f"{''.join(_endpoints(document))}<h2>Schemas</h2>{''.join(_schemas(document))}</html>"
    )


def _tasks(document: dict[str, Any]) -> Iterator[str]:
    """What may be submitted, and with which fields; those that may be left out stand in brackets."""
    schemas = document["components"]["schemas"]
    for name in schemas["Submit"]["discriminator"]["mapping"]:
        payload = schemas.get(f"Payload.{name}", {})
        required = payload.get("required", ())
        fields = [f if f in required else f"[{f}]" for f in payload.get("properties", {})]
        link = f"<a href='#Submit.{escape(name)}'><code>{escape(name)}</code></a>"
        told = escape(", ".join(fields) or "as its function takes them")
        yield f"<tr><td>{link}<td><code>{told}</code>"


def _endpoints(document: dict[str, Any]) -> Iterator[str]:
    tag = None
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            named = operation.get("tags", ["service"])[0]
            if named != tag:
                tag = named
                yield f"<h2>{escape(tag.capitalize())}</h2>"
            yield _endpoint(method, path, operation)


def _endpoint(method: str, path: str, operation: dict[str, Any]) -> str:
    return (
        f"<section><h3><b class=method>{escape(method.upper())}</b><code>{escape(path)}</code></h3>"
        f"<p>{escape(operation.get('description', operation.get('summary', '')))}</p>"
        f"<table>{''.join(map(_parameter, operation.get('parameters', ())))}"
        f"{_body(operation)}</table>"
        f"<p class=quiet>Answers {escape(_answers(operation))}</p></section>"
    )


def _answers(operation: dict[str, Any]) -> str:
    responses = operation["responses"].items()
    return "; ".join(
        f"{status} {answer['description'].rstrip('.')}" for status, answer in responses
    )


def _parameter(parameter: dict[str, Any]) -> str:
    place = parameter["in"] + (", required" if parameter.get("required") else "")
    return (
        f"<tr><td><code>{escape(parameter['name'])}</code><td class=quiet>{escape(place)}"
        f"<td>{escape(parameter.get('description', ''))}"
    )


def _body(operation: dict[str, Any]) -> str:
    kinds = operation.get("requestBody", {}).get("content", {})
    rows = []
    for kind, content in kinds.items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        link = f"<a href='#{escape(name)}'>{escape(name)}</a>" if name else "the file"
        rows.append(f"<tr><td>body<td class=quiet>{escape(kind)}<td>{link}")
    return "".join(rows)


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        text = escape(json.dumps(schema, indent=2))
        yield (
            f"<details id='{escape(name)}'><summary><code>{escape(name)}</code></summary>"
            f"<pre>{text}</pre></details>"
        )
