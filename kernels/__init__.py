"""GPU kernels, one file an operation; see NOTES.md."""
