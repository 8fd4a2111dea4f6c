"""The language model: GGUF files, tokens, prompts, engines."""
