"""Sound devices: chosen, opened, watched, and opened again; what was recorded and played, by the clock."""
