"""Replaying recordings, and what is reported of a conversation."""
