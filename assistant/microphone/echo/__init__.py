"""Echo: what the loudspeaker played, taken out of what the microphone heard. Signals in, signals out."""
