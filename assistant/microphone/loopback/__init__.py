"""A measurement of loudspeaker, air and microphone: what is played is found again in what is recorded."""
