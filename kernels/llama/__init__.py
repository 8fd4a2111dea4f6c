"""A whole pass of a llama-like model, as a CUDA graph."""
