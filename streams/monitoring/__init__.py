"""Metrics of the running programs."""
