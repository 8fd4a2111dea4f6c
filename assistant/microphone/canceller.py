"""The echo canceller of this machine: with AEC3 for the voice detector where that is installed."""

from assistant.microphone.aec import open_aec, unsupported_reason
from assistant.microphone.echo import EchoCanceller


def open_canceller() -> EchoCanceller:
    """A canceller for a stream that begins."""
    reason = unsupported_reason()
    return EchoCanceller(None if reason else open_aec, reason)


def cancels() -> bool:
    """Whether the voice detector hears the user without echo: a voice over a reply needs less proof then."""
    return unsupported_reason() is None
