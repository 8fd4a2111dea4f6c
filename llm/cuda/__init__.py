"""The GPU engine, on Triton kernels."""
