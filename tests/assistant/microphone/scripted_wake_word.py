"""A wake word that is detected where a test says, whatever it hears."""

from collections.abc import Sequence

from assistant.microphone.devices.port import Audio
from assistant.microphone.wake import Phrase

PER_MS = 16


class ScriptedWakeWord:
    """Detects its phrase in the audio that ends behind each of these times, once."""

    def __init__(self, detected_ms: Sequence[int], earliest_ms: int = -200, latest_ms: int = 100) -> None:
        self.phrase = Phrase("hello there", earliest_ms, latest_ms)
        self.heard: list[Audio] = []
        self.resets = 0
        self._due = [ms * PER_MS for ms in detected_ms]
        self.skipped = 0  # samples that it was not given: somebody was awake

    def push(self, audio: Audio) -> bool:
        self.heard.append(audio)
        end = self.skipped + sum(map(len, self.heard))
        if not self._due or end < self._due[0]:
            return False
        self._due.pop(0)
        return True

    def reset(self) -> None:
        self.resets += 1
