"""The doctor and a store on S3."""

from pathlib import Path

import pytest

from broker.s3_server import S3Server
from laneway.tasks.checkup import examine
from laneway.tasks.findings import Finding
from laneway.tasks.settings import load_settings

pytestmark = pytest.mark.broker


def storage(server: S3Server, prefix: str, **others: str) -> Finding:
    settings = load_settings(**{**server.settings(prefix), **others})
    (finding,) = [finding for finding in examine(settings) if finding.check == "storage"]
    return finding


def test_a_bucket_that_can_be_written_is_left_as_it_was(
    s3_server: S3Server, tmp_path: Path
) -> None:
    assert storage(s3_server, tmp_path.name).level == "ok"
    assert s3_server.keys(tmp_path.name) == []


def test_a_bucket_that_is_not_there_is_found(s3_server: S3Server, tmp_path: Path) -> None:
    finding = storage(s3_server, tmp_path.name, storage_url="s3://no-such-bucket/x")
    assert (finding.level, "no such bucket" in finding.found) == ("warning", True)


def test_a_store_that_is_away_is_found(s3_server: S3Server, tmp_path: Path) -> None:
    s3_server.go_away()
    try:
        finding = storage(s3_server, tmp_path.name)
    finally:
        s3_server.come_back()
    assert (finding.level, "does not answer" in finding.found) == ("warning", True)
