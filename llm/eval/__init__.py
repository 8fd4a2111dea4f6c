"""The quality and speed of an engine, measured beside a reference."""
