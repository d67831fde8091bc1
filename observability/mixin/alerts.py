"""All alerts, in the groups of the rule file."""

from laneway.observability.mixin.alert import Alert
from laneway.observability.mixin.burn import burn_alerts
from laneway.observability.mixin.failures import failure_alerts
from laneway.observability.mixin.lanes import lane_alerts
from laneway.observability.mixin.platform import platform_alerts

ALERT_GROUPS: dict[str, tuple[Alert, ...]] = {
    "laneway.burn": tuple(burn_alerts()),
    "laneway.flow": tuple(lane_alerts()),
    "laneway.failures": tuple(failure_alerts()),
    "laneway.platform": tuple(platform_alerts()),
}
ALERTS = tuple(alert for group in ALERT_GROUPS.values() for alert in group)
