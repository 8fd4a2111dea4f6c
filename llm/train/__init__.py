"""Training a LoRA adapter that makes the small default model a better voice assistant (extra `train`)."""
