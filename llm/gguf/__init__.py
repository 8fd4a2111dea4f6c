"""GGUF files: a bounded reader, and what a llama-like model's file says."""
