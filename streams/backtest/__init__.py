"""History replayed through the same core that the worker runs."""
