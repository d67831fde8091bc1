"""URLs that name Sentinels."""

import pytest

from laneway.tasks.broker.sentinel import kombu_options, kombu_url
from laneway.tasks.redis_urls import SentinelUrl, is_sentinel, parse_sentinel

pytestmark = pytest.mark.unit


def test_a_url_names_several_sentinels_and_the_primary() -> None:
    found = parse_sentinel("sentinel://one:1,two,[::1]:3,[::2]/2?master=lanes")

    hosts = (("one", 1), ("two", 26379), ("::1", 3), ("::2", 26379))
    assert found == SentinelUrl(hosts, "lanes", 2)


def test_a_login_is_read_as_urls_spell_it() -> None:
    found = parse_sentinel("sentinel://us%40er:p%3A%2Fw@one/?master=m")

    assert (found.username, found.password, found.db) == ("us@er", "p:/w", 0)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("sentinel://one:1/0", "must name the primary"),
        ("sentinel://one:1/0?master=a&master=b", "must name the primary"),
        ("sentinel://one:x/0?master=a", "'one:x' is no host:port"),
        ("sentinel://one,,two/0?master=a", "'' is no host:port"),
        ("sentinel://:secret@/0?master=a", "'' is no host:port"),
        ("sentinel://one/zero?master=a", "'zero' is no number of a database"),
    ],
)
def test_what_makes_no_sense_is_refused_without_telling_the_password(url, reason) -> None:
    with pytest.raises(ValueError, match=reason) as refused:
        parse_sentinel(url)
    assert "secret" not in str(refused.value)


def test_kombu_is_told_the_same() -> None:
    url = "sentinel://u:p%40w@one:1,[::1]:2/3?master=lanes"

    assert kombu_url(url) == "sentinel://u:p%40w@one:1/3;sentinel://u:p%40w@[::1]:2/3"
    assert kombu_options(url) == {"master_name": "lanes"}


def test_other_urls_are_no_sentinels() -> None:
    assert [is_sentinel(url) for url in ("redis://one", "rediss://one", "sentinel://one")] == [
        False,
        False,
        True,
    ]
