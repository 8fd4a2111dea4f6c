"""Sampling the next token on the device."""
