"""Training the streaming encoder: it learns to read as the full-attention model does (extra `train`)."""
