"""The voice assistant: graph, turn taking, sessions, replay, command line."""

from kernels.no_telemetry import switch_off

__version__ = "0.1.0"

switch_off()
