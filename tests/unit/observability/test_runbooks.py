"""Runbooks: one an alert, with queries of what is catalogued and commands that there are."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import queries
from laneway.observability.mixin.alert import Alert
from laneway.observability.mixin.alerts import ALERTS
from laneway.services.cli.main import app

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[3]
RUNBOOKS = ROOT / "docs" / "runbooks"
PAGES = sorted(RUNBOOKS.glob("*.md"))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        found = re.findall(
            rf"^ *```{language}\n(.*?)```", page.read_text(), re.DOTALL | re.MULTILINE
        )
        yield from ((page.name, block) for block in found)


QUERIES = [
    (page, query) for page, block in blocks("promql") for query in block.strip().split("\n\n")
]
COMMANDS = [
    (page, line.strip())
    for page, block in blocks("sh")
    for line in block.splitlines()
    if line.strip().startswith("laneway ")
]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: f"{alert.name}-{alert.severity}")
def test_an_alert_has_its_runbook(alert: Alert) -> None:
    text = (RUNBOOKS / alert.runbook).read_text()

    assert text.startswith(f"# {alert.alertname}\n")
    assert f"`{alert.dashboard}`" in text
    assert alert.severity in text.splitlines()[2].lower()
    for part in ("What it means", "What to look at", "What to do"):
        assert f"\n## {part}\n" in text
    assert f"[{alert.alertname}]({alert.runbook})" in (RUNBOOKS / "README.md").read_text()


def test_every_runbook_belongs_to_an_alert() -> None:
    there = {page.name for page in PAGES} - {"README.md"}
    assert there == {alert.runbook for alert in ALERTS}
    assert {page for page, _ in QUERIES} == {page for page, _ in COMMANDS} == there


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_runbook_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert [link for link in links if not (RUNBOOKS / link).exists()] == []


@pytest.mark.parametrize(("page", "query"), QUERIES)
def test_a_query_of_a_runbook_reads_what_is_catalogued(page: str, query: str) -> None:
    assert queries.problems(query) == []


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_of_a_runbook_is_one_that_there_is(page: str, command: str) -> None:
    """An unknown command or option, or an argument that is missing, is a usage error."""
    _, *rest = shlex.split(command)
    at = typer.main.get_command(app)
    while hasattr(at, "commands"):
        at, rest = at.commands[rest[0]], rest[1:]
    at.make_context(command, list(rest))
