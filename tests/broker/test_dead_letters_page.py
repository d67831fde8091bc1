"""What docs/dead-letters.md tells a user to type can be typed."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lane_client import write_catalogue
from lane_holder import envelope, lane_holder
from laneway.services.cli.main import app
from laneway.services.gateway.routes import dead_letters
from laneway.tasks.app import LanewayApp
from laneway.tasks.settings import current_settings
from redis_server import RedisServer

pytestmark = pytest.mark.broker

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text()
COMMANDS = re.findall(r"^laneway .*$", PAGE, re.MULTILINE)


@pytest.fixture
def _settings(redis_server: RedisServer, monkeypatch, tmp_path):
    catalogue = write_catalogue(tmp_path, reports={"tasks": ["reports.*"]})
    monkeypatch.setenv("LANEWAY_BROKER_URL", redis_server.url)
    monkeypatch.setenv("LANEWAY_QUEUES_FILE", str(catalogue))
    monkeypatch.setattr(LanewayApp, "in_use", None)
    monkeypatch.chdir(tmp_path)
    current_settings.cache_clear()
    yield
    LanewayApp.in_use.close()
    current_settings.cache_clear()


@pytest.mark.usefixtures("_settings")
def test_every_command_works_in_its_order(redis_server: RedisServer) -> None:
    assert len(COMMANDS) == 11
    with lane_holder(redis_server, "reports") as holder:
        letter = holder.bury(envelope("reports.render"), "task failed")
        for task_id in ("2", "3"):
            holder.bury(envelope("reports.render", task_id), "task failed")
        holder.bury(b"\xff", "malformed envelope")
        for command in COMMANDS:
            words = shlex.split(command.replace(" ID", f" {letter}"))[1:]
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, (command, done.output, done.exception)
    assert Path("dead.jsonl").read_text().count("\n") == 1


def test_the_page_names_every_address_and_no_other() -> None:
    told = {path for _, path in re.findall(r"`(GET|POST) /v1(/\S*?)[?`]", PAGE)}
    served = {route.path for route in dead_letters.routes().routes}
    assert {"/v1" + path.replace("NAME", "{queue}").replace("ID", "{letter}") for path in told} == (
        served
    )


def test_the_page_names_every_kind_that_the_code_spells() -> None:
    root = Path(__file__).parents[2]
    sources = (*root.glob("services/worker/*.py"), *root.glob("tasks/broker/scripts/*.lua"))
    kinds = set(re.findall(r"^\| `([a-z ]+)` \|", PAGE, re.MULTILINE))
    spelt = "\n".join(source.read_text() for source in sources)
    assert len(kinds) == 8
    assert [kind for kind in kinds if f'"{kind}"' not in spelt and f"'{kind}'" not in spelt] == []
