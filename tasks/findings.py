"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One check: what was found, and the cure unless all is well."""

    check: str
    level: Literal["ok", "warning", "error"]
    found: str
    cure: str = ""
