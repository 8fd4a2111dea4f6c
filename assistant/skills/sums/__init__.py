"""Sums, measures and ingredients, worked out exactly."""
