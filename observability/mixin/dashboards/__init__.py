"""The seven dashboards, made into Grafana's classic JSON."""
