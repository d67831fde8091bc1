"""What runs here, told the same way by every service."""

import platform

import celery

import laneway
from laneway.observability.metrics import Metrics


def tell_build(metrics: Metrics) -> None:
    """Say the versions of Laneway, Celery and Python."""
    metrics.build_info(
        version=laneway.__version__,
        celery=celery.__version__,
        python=platform.python_version(),
    )
