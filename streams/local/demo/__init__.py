"""The demo: thirty days of invented journeys through a real broker and a real worker, in about a minute, then live."""
