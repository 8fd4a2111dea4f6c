"""Talking on this machine: its microphone and its loudspeaker as a source and a sink of a session."""
