"""Text and tokens: tokenizer, chat template, prompts, stop strings."""
