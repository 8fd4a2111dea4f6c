"""Attention: local, paged, of a prompt, of a few tokens."""
