"""The table of every value of the chart: one that is not the default, and what it does.

A value that does nothing has no row that passes, and a test fails for a value without a row.
"""

from chart.effects_external import EXTERNAL
from chart.effects_gateway import GATEWAY
from chart.effects_lanes import LANES
from chart.effects_platform import PLATFORM
from chart.effects_seen import SEEN
from chart.effects_settings import SETTINGS

TABLES = (PLATFORM, SETTINGS, EXTERNAL, GATEWAY, SEEN)

PARTS = {path: effect for table in TABLES for path, effect in table.items()}
"""By the value's path. The fields of lanes are in a table of their own, LANES."""

__all__ = ["LANES", "PARTS", "TABLES"]
