"""Draws dashboards from the answers of a Prometheus, so that people see what they get."""
