"""Choosing the settings that end turns on one part of recorded turns, and judging them on the other."""
