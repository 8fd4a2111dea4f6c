"""The voice assistant: graph, turn taking, sessions, replay, command line."""

from kernels.no_telemetry import switch_off

switch_off()
