"""What Prometheus is given: recording rules and alerts, made by code and checked against the catalogue."""
