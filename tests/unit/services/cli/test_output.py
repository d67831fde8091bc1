"""Tables show what they are given, whatever it holds."""

import io

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from laneway.services.cli import work
from laneway.services.cli.output import print_fields, print_table
from laneway.tasks import status
from laneway.tasks.status import TaskStatus

pytestmark = pytest.mark.unit

BRACKETS = ["see [1] and [bold]", "[/nope]", "[red]", ":bee:", "list[str]"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_in_a_cell_are_neither_swallowed_nor_fatal(capsys, text):
    print_table(text, ("document", "text"), [("a.txt", text), (text, None)])
    assert capsys.readouterr().out.count(text) == 3


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_in_an_error_are_neither_swallowed_nor_fatal(capsys, text):
    print_fields("Task 1", {"error": f"ValueError: {text}", "result": None})
    shown = capsys.readouterr().out
    assert text in shown
    assert "result" not in shown


def test_a_cell_may_bring_its_own_colour(capsys):
    print_table("Doctor", ("check", ""), [("clock", Text("ok", "green"))])
    assert "ok" in capsys.readouterr().out


def test_a_table_for_a_pipe_is_not_squeezed_into_80_columns(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS")
    print_table("Queues", ("queue", "tasks"), [("documents", "word " * 30)])
    assert "word " * 30 in capsys.readouterr().out


def test_short_columns_are_not_folded_in_favour_of_long_ones(capsys):
    columns = ("queue", "concurrency", "limit_s", "tasks")
    print_table("Queues", columns, [("documents", 12, 3600, "word " * 100)])
    shown = capsys.readouterr().out
    assert all(column in shown for column in columns)


def test_on_a_narrow_terminal_short_columns_do_not_crowd_out_the_long_one(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    columns = ("queue", "ready", "in_flight", "dead", "concurrency", "pool", "limit_s", "tasks")
    print_table("Queues", columns, [("high-priority", 0, 0, 0, 2, "prefork", 60, "x" * 40)])
    assert capsys.readouterr().out.count("x") >= 40


def test_brackets_in_a_step_do_not_break_the_progress_bar(monkeypatch):
    shown = io.StringIO()
    outcomes = iter(
        [
            TaskStatus("1", "PROGRESS", progress={"step": "[/part] 1", "done": 1, "total": 2}),
            TaskStatus("1", "SUCCESS"),
        ]
    )
    monkeypatch.setattr(status, "read_status", lambda _app, _id: next(outcomes))
    monkeypatch.setattr(work.time, "sleep", lambda _s: None)
    refreshed = Progress.update

    def update(bar, *words, **fields):
        refreshed(bar, *words, **fields)
        Console(file=shown, width=200).print(bar.get_renderable())

    monkeypatch.setattr(Progress, "update", update)

    assert work._follow(None, "1", quiet=False).state == "SUCCESS"
    assert "PROGRESS [/part] 1" in shown.getvalue()
