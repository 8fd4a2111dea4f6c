"""Streaming speech recognition: voice activity, end of turn, transcripts."""
