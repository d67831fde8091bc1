"""The figures of lanes out of Prometheus: one query, and what its answer says.

The sums are made there, so that the answer is small however many workers there are.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from laneway.observability import catalogue
from laneway.observability.lanes.figures import HELD, WAIT_SHARE, Picture, held
from laneway.observability.lanes.samples import UNTOLD_WAIT, WANTED, Key, Wanted

PART = "part"
"""The label that tells the parts of the answer from each other."""
_WAIT, _WAIT_ALL, _BEFORE = "wait_p95", "wait_p95_all", "before:"


class UnusableAnswer(ValueError):
    """What was answered is not what Prometheus answers to a query."""


def lanes_query(window_s: int, matchers: str = "") -> str:
    """PromQL for all figures at once.

    Args:
        window_s: What rates are reckoned over; it should hold several scrapes.
        matchers: Further label matchers, such as `namespace="prod"`.
    """
    parts = _parts(f"{window_s}s", matchers)
    return " or ".join(f'label_replace({text}, "{PART}", "{name}", "", "")' for name, text in parts)


def read_answer(answer: Any, window_s: int) -> Picture:
    """The picture in the answer of Prometheus' HTTP API.

    Raises:
        UnusableAnswer: it holds no vector.
    """
    parts = _by_part(answer)
    now: dict[Key, float] = {}
    rates: dict[Key, float] = {}
    for wanted in WANTED:
        grows = wanted.merge == "grow"
        for (lane, detail), value in parts[wanted.metric.name].items():
            (rates if grows else now)[Key(wanted.metric.name, lane, detail)] = value
    before = held(
        {
            Key(wanted.metric.name, lane): value
            for wanted in WANTED
            for (lane, _), value in parts[_BEFORE + wanted.metric.name].items()
        }
    )
    waits = {lane: value for (lane, _), value in parts[_WAIT].items()}
    waits.update(("", value) for value in parts[_WAIT_ALL].values())
    return Picture(now, rates, None, waits, before, float(window_s))


def _parts(window: str, matchers: str) -> Iterator[tuple[str, str]]:
    for wanted in WANTED:
        name = wanted.metric.name
        series = f"{wanted.sample}{{{matchers}}}" if matchers else wanted.sample
        if wanted.metric is catalogue.QUEUE_WAIT:
            yield from _waits(wanted, window, matchers)
        elif wanted.merge == "grow":
            yield name, f"sum by ({_labels(wanted)}) (rate({series}[{window}]))"
        elif wanted.merge == "mean":
            yield name, f"avg({series})"
        elif wanted.merge == "sum":
            yield name, f"sum by ({_labels(wanted)}) ({series})"
        else:
            yield name, _largest(wanted, series)
            if wanted.metric in HELD:
                yield _BEFORE + name, _largest(wanted, f"{series} offset {window}")


def _waits(wanted: Wanted, window: str, matchers: str) -> Iterator[tuple[str, str]]:
    chosen = ",".join(filter(None, (matchers, f'kind!="{UNTOLD_WAIT}"')))
    grown = f"rate({wanted.sample}{{{chosen}}}[{window}])"
    yield _WAIT, f"histogram_quantile({WAIT_SHARE}, sum by (queue, le) ({grown}))"
    yield _WAIT_ALL, f"histogram_quantile({WAIT_SHARE}, sum by (le) ({grown}))"


def _largest(wanted: Wanted, series: str) -> str:
    others = [name for name in wanted.metric.labels if name not in ("queue", wanted.detail)]
    # What one endpoint tells in several series is summed before endpoints are compared.
    whole = f"sum without ({', '.join(others)}) ({series})" if others else series
    return f"max by ({_labels(wanted)}) ({whole})"


def _labels(wanted: Wanted) -> str:
    return ", ".join(filter(None, ("queue", wanted.detail)))


def _by_part(answer: Any) -> Mapping[str, dict[tuple[str, str], float]]:
    details = {wanted.metric.name: wanted.detail for wanted in WANTED}
    parts: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    try:
        for row in answer["data"]["result"]:
            labels, value = row["metric"], float(row["value"][1])
            part = labels[PART]
            # Quantiles of nothing are no numbers.
            if math.isfinite(value):
                detail = labels.get(details.get(part, ""), "")
                parts[part][labels.get("queue", ""), detail] = value
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnusableAnswer(f"no vector of Prometheus ({type(error).__name__})") from None
    return parts
