"""Grafana's dashboards as code: one file each, see docs/dashboards.md."""
