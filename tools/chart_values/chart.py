"""The chart's values and the files that are made of them."""

from pathlib import Path

from chart_values import code
from chart_values.reading import Value, read_values
from chart_values.readme import readme_text
from chart_values.schema import LANE_DEFAULTS, LANES, SETTINGS, schema_text

CHART = Path(__file__).parents[2] / "charts" / "laneway"


def chart_values(folder: Path = CHART) -> tuple[Value, ...]:
    """What values.yaml holds.

    Raises:
        ValuesError: a value has no description or no type; the message names each.
    """
    elsewhere = {(*LANE_DEFAULTS, name) for name in code.lane_fields()}
    return read_values(folder / "values.yaml", elsewhere, {LANES, SETTINGS})


def outputs(folder: Path = CHART) -> dict[Path, str]:
    """The files that are made, with what is to be in them.

    Raises:
        ValuesError: they cannot be made; the message says why.
    """
    values = chart_values(folder)
    template = (folder / "README.md.in").read_text(encoding="utf-8")
    return {
        folder / "values.schema.json": schema_text(values),
        folder / "README.md": readme_text(template, values),
    }
