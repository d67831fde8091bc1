"""What may be told of an exception: its type and its place, never its message.

A message can hold what a task was given, and that must reach neither a log nor a trace.
"""

import traceback
from pathlib import PurePath

_FRAMES_KEPT = 20


def error_type(error: BaseException) -> str:
    """The class name."""
    return type(error).__name__


def where_raised(error: BaseException) -> str | None:
    """`folder/file.py:line` of the innermost frame; None for an error without a traceback."""
    places = frames(error)
    return places[-1].rpartition(" ")[0] if places else None


def frames(error: BaseException) -> list[str]:
    """The innermost frames as `folder/file.py:line function`, outermost first, without source."""
    stack = traceback.walk_tb(error.__traceback__)
    return [
        f"{_short(frame.f_code.co_filename)}:{line} {frame.f_code.co_name}"
        for frame, line in list(stack)[-_FRAMES_KEPT:]
    ]


def _short(filename: str) -> str:
    return "/".join(PurePath(filename).parts[-2:])
