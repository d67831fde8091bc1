"""Three documents to try Laneway with, made by `tools/make_samples.py`."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Sample:
    """A document, and a sentence that only it holds."""

    filename: str
    sentence: str

    @property
    def path(self) -> Path:
        """Where it is installed."""
        return FOLDER / self.filename


SAMPLES = (
    Sample("beekeeping.pdf", "a beekeeper who hums breathes slowly"),
    Sample("lighthouse.docx", "two captains swore in court that they had been saved by a waltz"),
    Sample("sourdough.html", "the colour of a chestnut horse, which is darker than you dare"),
)
