"""Speech from text, phrase by phrase and chunk by chunk. The voice itself is imported from `tts.stream`."""

from kernels.no_telemetry import switch_off
from tts.errors import TtsError
from tts.phrases import PhraseConfig, PhraseSplitter
from tts.speakable import speakable

__all__ = ["PhraseConfig", "PhraseSplitter", "TtsError", "speakable"]

switch_off()
