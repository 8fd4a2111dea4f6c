"""Attention: in a sliding window, over the paged cache, and of a small batch."""
