"""Streaming text to speech: `phrases` cuts text, `speakable` cleans it, `stream` speaks it with a `voice`."""
