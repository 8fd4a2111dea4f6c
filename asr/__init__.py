"""Speech recognition: voice activity, streaming transcripts, end of turn. Each model is in its own module."""

from asr.audio import RATE, AudioSpan
from asr.stabilize import Partial
from asr.words import Hypothesis, Word
from kernels.no_telemetry import switch_off

__all__ = ["RATE", "AudioSpan", "Hypothesis", "Partial", "Word"]

switch_off()
