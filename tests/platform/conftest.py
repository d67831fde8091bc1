"""What tests of whole processes share: a trace collector for each test file."""

from collections.abc import Iterator

import pytest

from otlp_collector import Collector


@pytest.fixture(scope="module")
def module_collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()
