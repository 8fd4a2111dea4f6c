"""One conversation: turn taking, replies, playback, history."""
