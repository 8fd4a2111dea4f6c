"""Measures a running server by its clients' own clocks: `python -m assistant.server.bench`."""
