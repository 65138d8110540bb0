"""The demo: thirty days of invented journeys through a real broker and worker in a minute, then live."""
