"""GPU kernels, one file an operation; see NOTES.md."""

from kernels.no_telemetry import switch_off

switch_off()
