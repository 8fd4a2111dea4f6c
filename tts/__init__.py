"""Speech from text, phrase by phrase and chunk by chunk."""

from kernels.no_telemetry import switch_off

switch_off()
