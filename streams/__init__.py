"""leadstream: tells a sales team, the moment it becomes true, that a lead is worth a call."""

__version__ = "0.1.0"
