"""Metrics, health and logs of the running programs; dashboards as code."""
