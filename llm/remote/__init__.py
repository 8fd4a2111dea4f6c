"""A language model on another machine."""
