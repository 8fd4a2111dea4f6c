"""Speech from text, phrase by phrase and chunk by chunk."""
