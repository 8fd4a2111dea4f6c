"""The echo canceller of this machine: with AEC3 for the voice detector where that is installed."""

from collections.abc import Callable

from assistant.microphone.aec import Canceller, open_aec, unsupported_reason
from assistant.microphone.echo import Cleaned, EchoCanceller
from assistant.microphone.offset import Offset
from assistant.microphone.port import Audio


def open_canceller() -> EchoCanceller:
    """A canceller for a stream that begins."""
    reason = unsupported_reason()
    return _Centred(None if reason else open_aec, reason)


def cancels() -> bool:
    """Whether the voice detector hears the user without echo: a voice over a reply needs less proof then."""
    return unsupported_reason() is None


class _Centred(EchoCanceller):
    """Takes a constant offset out of the microphone's signal first."""

    def __init__(self, make: Callable[[], Canceller] | None, unsupported: str | None) -> None:
        super().__init__(make, unsupported)
        self._offset = Offset()

    def push(self, microphone: Audio, reference: Audio) -> Cleaned:
        """See EchoCanceller."""
        return super().push(self._offset.push(microphone), reference)
