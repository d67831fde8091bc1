"""Numbers as people read them, by the names that Grafana gives to units."""

import math
from collections.abc import Callable, Iterator, Sequence

_THREE_DIGITS = 99.95
_TICKS = 5
_CLOCK = (15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)
_Scale = Sequence[tuple[float, str]]
_SECONDS: _Scale = (
    (1e-6, "µs"),
    (1e-3, "ms"),
    (1, "s"),
    (60, "min"),
    (3_600, "h"),
    (86_400, "d"),
)
_BYTES: _Scale = ((1, "B"), (2**10, "KiB"), (2**20, "MiB"), (2**30, "GiB"))
_SHORT: _Scale = ((1, ""), (1e3, "K"), (1e6, "M"), (1e9, "G"))


def text(value: float, unit: str) -> str:
    """A value in its unit."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "∞"
    suffix = unit.removeprefix("suffix:")
    if suffix != unit:
        return _scaled(value, _SHORT) + suffix
    return _FORMATS[unit](value)


def ticks(top: float, unit: str) -> list[float]:
    """Round values from 0 to `top`, four or so."""
    if top <= 0:
        return [0]
    step = next(step for step in _steps(unit, top) if top / step <= _TICKS)
    return [n * step for n in range(int(top / step) + 1)]


def _steps(unit: str, top: float) -> Iterator[float]:
    """Round steps, smallest first; minutes, hours and powers of two where they are the measure."""
    if unit == "s" and top > _CLOCK[0]:
        yield from _CLOCK
    base, parts = (2, (1,)) if unit == "bytes" else (10, (1, 2, 5))
    if unit == "short" and top > 1:
        yield from (n for n in (1,) if top / n <= _TICKS)
    power = math.floor(math.log(top, base)) - 1
    for n in range(power, power + 12):
        yield from (base**n * part for part in parts)


def _scaled(value: float, scale: _Scale) -> str:
    size = abs(value)
    factor, name = scale[0]
    for step, step_name in scale:
        # What would be written as the next step's 1 is written so.
        if size >= step * 0.9995:
            factor, name = step, step_name
    return f"{_digits(value / factor)}{' ' if name else ''}{name}"


def _seconds(value: float) -> str:
    return "0 s" if value == 0 else _scaled(value, _SECONDS)


def _percent(value: float) -> str:
    return f"{_digits(round(value * 100, 2))} %"


def _digits(value: float) -> str:
    """Three digits, or more if there are more before the point; no zeros behind it."""
    return f"{value:.3g}" if abs(value) < _THREE_DIGITS else f"{value:.0f}"


_FORMATS: dict[str, Callable[[float], str]] = {
    "s": _seconds,
    "bytes": lambda value: _scaled(value, _BYTES),
    "short": lambda value: _scaled(value, _SHORT),
    "percentunit": _percent,
}
