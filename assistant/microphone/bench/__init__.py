"""Measures the microphone's side without hardware: `python -m assistant.microphone.bench`."""
