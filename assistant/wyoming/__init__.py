"""The Wyoming protocol, by which Home Assistant reaches speech recognition, the voice and the replies."""
