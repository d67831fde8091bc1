"""What counts as JSON."""

import pytest

from laneway.services.gateway.bodies import DEEPEST, parse_json
from laneway.services.gateway.problems import Problem

pytestmark = pytest.mark.unit


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("body", "content"),
    [
        (b'{"a": [1, -2.5e3, "\xc3\xbc", null, true]}', {"a": [1, -2500.0, "ü", None, True]}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b"9007199254740993", 2**53 + 1),
        (b'{"__proto__": {}}', {"__proto__": {}}),
        (b'"\\u0000"', "\0"),
    ],
)
def test_json_is_taken_as_it_is(body, content) -> None:
    assert parse_json(body) == content


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"{'a': 1}", "double quotes"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        (b'"\\ud800"', "half a surrogate pair"),
        (b'{"\\ud800": 1}', "half a surrogate pair"),
        (b"NaN", "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"1e400", "too large"),
        (b"1" * 101, "too large"),
        (b"9" * 5000, "too large"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "same key twice"),
        (nested(DEEPEST + 2), "nested deeper"),
        (nested(100_000), "nested deeper"),
    ],
)
def test_what_is_no_json_is_refused_with_the_reason(body, told) -> None:
    with pytest.raises(Problem) as caught:
        parse_json(body)
    assert (caught.value.status, caught.value.error) == (400, "invalid_json")
    assert told in caught.value.message


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    with pytest.raises(Problem) as caught:
        parse_json(b'{"secret": "s3cr3t"')
    assert "s3cr3t" not in str(caught.value.body())


def test_nesting_up_to_the_limit_is_fine() -> None:
    parse_json(nested(DEEPEST))
