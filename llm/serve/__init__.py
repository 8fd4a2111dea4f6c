"""What engines share: continuous batching, sessions, keys and values."""
