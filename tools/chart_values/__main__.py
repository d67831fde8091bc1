"""`python -m chart_values`: writes what is made of the values, or says what keeps it from that."""

import sys

from chart_values.chart import outputs
from chart_values.errors import ValuesError


def main() -> int:
    """Write values.schema.json and README.md."""
    try:
        made = outputs()
    except ValuesError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for file, text in made.items():
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
