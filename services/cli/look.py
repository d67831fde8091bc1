"""Commands that look: queues, search, doctor, settings."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from laneway.services.cli.output import AsJson, print_json, print_table

HIDDEN = "(hidden)"
SHOWN_CHARACTERS = 240
COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


def queues(
    as_json: AsJson = False,
    fields: Annotated[
        bool, typer.Option("--fields", help="List the fields of a queue instead.")
    ] = False,
) -> None:
    """The lanes: what waits, what runs, what is dead; exit code 1 if a broker does not answer."""
    from laneway.tasks.queues import Queue, cached_catalogue
    from laneway.tasks.settings import current_settings

    if fields:
        described = [
            {
                "field": field.alias or name,
                "default": str(field.get_default(call_default_factory=True)),
                "meaning": field.description,
            }
            for name, field in Queue.model_fields.items()
        ]
        _print_rows("Fields of a queue", described, as_json=as_json)
        return
    from laneway.tasks.broker.backlog import see_backlogs
    from laneway.tasks.broker.client import check_brokers

    settings = current_settings()
    catalogue = cached_catalogue(settings.queues_file)
    check_brokers(settings, catalogue)
    seen = see_backlogs(settings, catalogue)
    rows = [
        {
            "queue": name,
            **asdict(seen.backlogs[name]),
            "concurrency": queue.concurrency,
            "pool": queue.pool,
            "limit_s": queue.time_limit,
            "tasks": ", ".join(queue.tasks) if queue.tasks is not None else "all within its limit",
        }
        for name, queue in catalogue.items()
        if name in seen.backlogs
    ]
    if rows:
        _print_rows("Queues", rows, as_json=as_json)
    for away in seen.away:
        typer.secho(f"{type(away).__name__}: {away}", fg="red", err=True)
    if seen.away:
        raise typer.Exit(1)


def search(
    query: Annotated[str, typer.Argument(help="What to look for.")],
    collection: Annotated[str, typer.Option(help="Collection.")] = "default",
    user_id: Annotated[str | None, typer.Option(help="Only this user's documents.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Most hits.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Find indexed text by meaning."""
    from laneway.tasks.broker.client import without_password
    from laneway.tasks.rag.search import search as find
    from laneway.tasks.settings import current_settings

    current = current_settings()
    hits = find(current, query, collection=collection, user_id=user_id, limit=limit)
    if as_json:
        print_json(hits)
        return
    rows = [(f"{hit.score:.3f}", hit.file_path, hit.ordinal, _cut(hit.text)) for hit in hits]
    place = without_password(current.storage_url)
    title = f"{len(hits)} hits in collection '{collection}' of {place}"
    print_table(title, ("score", "document", "chunk", "text"), rows)


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def doctor(as_json: AsJson = False) -> None:
    """Check settings, Redis, catalogue, limits and storage; exit code 1 if something is broken."""
    from laneway.tasks.checkup import examine
    from laneway.tasks.settings import current_settings

    findings = examine(current_settings())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        from rich.text import Text

        rows = [(f.check, Text(f.level, COLOURS[f.level]), f.found, f.cure) for f in findings]
        print_table("Doctor", ("check", "", "found", "cure"), rows)
    raise typer.Exit(1 if any(finding.level == "error" for finding in findings) else 0)


def settings(as_json: AsJson = False) -> None:
    """Every setting, its value and where it comes from; secrets are hidden."""
    from laneway.tasks.settings import Settings, current_settings, setting_sources
    from laneway.tasks.settings_files import ENV_PREFIX

    current, sources = current_settings(), setting_sources()
    rows = []
    for name, field in Settings.model_fields.items():
        shown = _shown(getattr(current, name))
        rows.append(
            {
                "setting": ENV_PREFIX + name.upper(),
                "value": shown,
                "from": sources[name],
                "meaning": field.description,
            }
        )
    _print_rows("Settings", rows, as_json=as_json)


def _shown(value: object) -> str | None:
    """A setting's value as people may see it: secrets and passwords hidden."""
    from laneway.tasks.broker.client import without_password

    if value is None:
        return None
    if isinstance(value, tuple):
        pairs = (v if isinstance(v, str) else f"{v[0]}={_shown(v[1])}" for v in value)
        return ", ".join(pairs)
    if hasattr(value, "get_secret_value"):
        return HIDDEN
    return without_password(value) if isinstance(value, str) and "://" in value else str(value)


def _print_rows(title: str, rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Rows of the same fields, as a table or as JSON."""
    if as_json:
        print_json(rows)
    else:
        print_table(title, tuple(rows[0]), [tuple(row.values()) for row in rows])
