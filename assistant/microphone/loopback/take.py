"""What a measurement recorded: audio, and what the devices say about its time."""

from dataclasses import dataclass

from assistant.microphone.devices.port import Audio


@dataclass(frozen=True)
class Take:
    """A loudspeaker's audio and a microphone's, over the same seconds."""

    played: Audio
    """[n], all that was sent, silence too."""
    played_rate: int
    played_ns: float
    """When sample 0 of it was at the converter, on the clock of `recorded_ns`."""
    recorded: Audio
    """[m]"""
    recorded_rate: int
    recorded_ns: float
    output_ms: float = 0.0
    """From asking for a sample to its sound, as the device states it."""
    input_ms: float = 0.0
    """From a sample's sound to its being handed over, likewise."""
    wander_ms: float = 0.0
    """By how much the stated times went to and fro, half the range."""
    overflows: int = 0
    """How often samples of the microphone were lost."""
    underruns: int = 0
    """How often the loudspeaker had nothing to play inside of the programme."""
