"""A start imports what it needs and nothing more."""

import pytest

from bench.cold_start import HEAVY, NO_HELP_NEEDS, among, help_modules, start_mail_worker

pytestmark = pytest.mark.platform


def test_help_imports_nothing_that_runs_tasks():
    modules = help_modules()
    assert "typer" in modules
    assert among(modules, NO_HELP_NEEDS) == []


def test_a_worker_of_mail_imports_nothing_that_reads_documents(tmp_path):
    start = start_mail_worker(tmp_path)
    assert "laneway.tasks.notifications.tasks" in start.modules
    assert among(start.modules, HEAVY) == []
