"""What the bench makes of its runs."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bench.chart import chart
from bench.report import BEGIN, END, read_rows, tables_of, write_page
from bench.tables import runs_by_kind

pytestmark = pytest.mark.unit


def drained(arm, rate, number=0, **fields):
    costs = {"worker_cpu_us": 1.0, "redis_cpu_us": 1.0, "commands": 1.0, "round_trips": 1.0}
    head = {"session": "2026-01-01T00:00:00", "kind": "drain", "arm": arm, "round": number}
    return {**head, "rate": rate, **costs, **fields}


def failed(arm, error):
    return {"session": "s", "kind": "drain", "arm": arm, "round": 0, "error": error}


def line_of(title, rows):
    return next(line for line in tables_of(rows).splitlines() if line.startswith(f"| {title} |"))


def test_a_rate_is_compared_with_the_base_of_its_own_round():
    rows = [
        drained("laneway-prefork", 200, 0),
        drained("taskiq-stream", 100, 0),
        drained("laneway-prefork", 1_000, 1),
        drained("taskiq-stream", 500, 1),
    ]
    assert "| 600 (200 to 1,000) | 2.00 |" in line_of("Laneway, processes", rows)


def test_a_round_without_its_base_has_no_ratio():
    rows = [
        drained("laneway-prefork", 200, 0),
        drained("laneway-prefork", 900, 1),
        drained("taskiq-stream", 100, 0),
    ]
    assert "| 2.00 |" in line_of("Laneway, processes", rows)


def test_rounds_of_two_sessions_are_no_pair():
    rows = [drained("laneway-prefork", 200), drained("taskiq-stream", 100, session="another")]
    assert "| 200 | - |" in line_of("Laneway, processes", rows)


def test_a_disturbed_run_does_not_count_beside_an_undisturbed_one():
    rows = [drained("saq", 10, 0, others_percent=90.0), drained("saq", 50, 1, others_percent=1.0)]
    line = line_of("SAQ", rows)
    assert "| 50 |" in line
    assert line.endswith("| 1/2 |")


def test_disturbed_runs_alone_are_shown_and_marked():
    assert line_of("SAQ", [drained("saq", 10, others_percent=90.0)]).endswith("| 1/1\\* |")


def test_an_arm_that_failed_is_told_without_the_paths_of_its_log():
    told = tables_of([failed("saq", "the workers ended by themselves: /home/me/x.py\nTraceback")])
    assert "SAQ: 1 without figures (the workers ended by themselves)" in told
    assert "/home" not in told


def test_a_task_that_ran_twice_is_told():
    rows = [drained("dramatiq", 10, repeated=2), drained("dramatiq", 10, 1, repeated=1)]
    assert "- dramatiq: 3 tasks ran twice" in tables_of(rows)


def test_the_prose_of_a_page_stays_and_old_tables_go(tmp_path: Path):
    page = tmp_path / "docs" / "performance.md"
    page.parent.mkdir()
    page.write_text(f"# Performance\n\nProse.\n\n{BEGIN}\nold\n{END}\n\nMore prose.\n")
    write_page(page, [drained("saq", 10)])
    write_page(page, [drained("saq", 20)])
    text = page.read_text()
    assert text.startswith(f"# Performance\n\nProse.\n\n{BEGIN}\n")
    assert text.endswith(f"{END}\n\nMore prose.\n")
    assert "old" not in text
    assert "| SAQ | 20 |" in text
    assert "| SAQ | 10 |" not in text
    assert "](performance.svg)" in text


def test_a_page_is_made_where_there_is_none(tmp_path: Path):
    write_page(tmp_path / "new.md", [drained("saq", 10)])
    assert "| SAQ | 10 |" in (tmp_path / "new.md").read_text()


def test_the_chart_has_a_bar_for_each_arm_and_names_what_promises_less():
    rows = [drained("laneway-threads", 20_000), drained("huey", 3_000), failed("saq", "gone")]
    picture = ET.fromstring(chart(runs_by_kind(rows, 30.0)))
    said = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "Laneway, threads" in said
    assert "huey (at most once)" in said
    assert "20,000" in said
    assert "SAQ" not in said


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path: Path, capsys):
    runs = tmp_path / "runs.jsonl"
    runs.write_text('{"kind": "drain"}\n{"kind": "dra')
    assert read_rows(runs) == [{"kind": "drain"}]
    assert "no JSON" in capsys.readouterr().out
