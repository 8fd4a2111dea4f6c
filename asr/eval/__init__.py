"""Scoring a recognizer on recordings whose text is known."""
