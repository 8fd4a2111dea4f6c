"""The language model: GGUF files, tokens, prompts, engines."""

from kernels.no_telemetry import switch_off

switch_off()
