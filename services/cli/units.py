"""Numbers for people, in five characters at most, times in six."""

NOTHING = "-"
"""What no metric tells."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def count(value: float | None) -> str:
    """A number of things: 999, 1.2k, 12k, 3.4M."""
    if value is None:
        return NOTHING
    for step, letter in _STEPS:
        # What would be rounded to 1000 of the smaller step is 1.0 of this one.
        if value >= step * 0.9995:
            return _short(value / step) + letter
    return f"{value:.0f}"


def rate(value: float | None) -> str:
    """Things a second: 0, 0.05, 4.2, 120, 1.2k."""
    if value is None:
        return NOTHING
    if value < 0.005:  # noqa: PLR2004 - what two digits can show
        return "0" if value == 0 else "<.01"
    if value < 0.995:  # noqa: PLR2004 - less than 1.0 in two digits
        return f"{value:.2f}"
    return _short(value) if value < 999.5 else count(value)  # noqa: PLR2004 - 1.0k is shorter


def duration(seconds: float | None) -> str:
    """A time: 250ms, 4.2s, 42s, 3m04s, 2h05m, 4d03h."""
    if not seconds:
        return NOTHING if seconds is None else "0s"
    if seconds < 0.9995:  # noqa: PLR2004 - less than 1.0s
        return f"{seconds * 1000:.0f}ms"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{_short(seconds)}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    days, rest = divmod(whole, _DAY)
    return f"{days}d{rest // _HOUR:02}h" if days < 10 else f"{days}d"  # noqa: PLR2004 - room


def percent(ratio: float | None) -> str:
    """A share: 0%, <1%, 12%, 100%."""
    if ratio is None:
        return NOTHING
    return "<1%" if 0 < ratio < 0.005 else f"{ratio:.0%}"  # noqa: PLR2004 - half of 1%


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"  # noqa: PLR2004 - less than 10
