"""What is wrong with a source, all of it at once."""

from collections.abc import Sequence


class ValuesError(Exception):
    """Values or their documentation cannot be made sense of; the message lists every problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
