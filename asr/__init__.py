"""Streaming speech recognition: voice activity, end of turn, transcripts."""

from kernels.no_telemetry import switch_off

switch_off()
