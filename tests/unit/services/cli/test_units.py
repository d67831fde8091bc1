"""Numbers as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from laneway.services.cli.units import count, duration, percent, rate

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, "-"), (0, "0"), (7, "7"), (999, "999"), (999.6, "1.0k"), (1_000, "1.0k")),
        *((1_234, "1.2k"), (9_960, "10k"), (12_345, "12k"), (999_600, "1.0M"), (3.4e6, "3.4M")),
    ],
)
def test_count(value, shown):
    assert count(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        *((None, "-"), (0, "0"), (0.001, "<.01"), (0.05, "0.05"), (0.999, "1.0"), (4.21, "4.2")),
        *((9.96, "10"), (120.4, "120"), (999.7, "1.0k"), (12_000, "12k")),
    ],
)
def test_rate(value, shown):
    assert rate(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        *((None, "-"), (0, "0s"), (0.25, "250ms"), (0.9996, "1.0s"), (4.2, "4.2s"), (42, "42s")),
        *((59.7, "1m00s"), (184, "3m04s"), (3_599.6, "1h00m"), (7_500, "2h05m")),
        *((86_399.9, "1d00h"), (356_400, "4d03h"), (200 * 86_400, "200d")),
    ],
)
def test_duration(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(None, "-"), (0, "0%"), (0.001, "<1%"), (0.123, "12%"), (1, "100%")],
)
def test_percent(ratio, shown):
    assert percent(ratio) == shown


@given(st.floats(0, 9e11))
def test_numbers_are_short(value):
    assert len(count(value)) <= 5
    assert len(rate(value)) <= 5
    assert len(duration(min(value, 1e9))) <= 6
