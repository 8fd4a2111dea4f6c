"""Which of several channels is heard."""

import numpy as np
import pytest

from assistant.microphone.devices.channels import ChannelChoice
from assistant.microphone.devices.port import Audio

RATE = 16000


def heard(choice: ChannelChoice, recorded: Audio) -> Audio:
    """What is heard of a recording [n, channels], in blocks of 10 ms."""
    blocks = [choice.push(recorded[start : start + 160]) for start in range(0, len(recorded), 160)]
    return np.concatenate(blocks)


def recorded(levels: list[float], seconds: float = 1.0) -> Audio:
    """Noise of its own in each channel."""
    noise = np.random.default_rng(0).standard_normal((int(seconds * RATE), len(levels)))
    return (noise * levels).astype(np.float32)


@pytest.mark.parametrize("live", range(8))
def test_of_eight_channels_the_live_one_is_heard(live: int) -> None:
    """The others are sockets with nothing in them: noise at -90 dBFS, one with an offset of 0.3."""
    audio = recorded([0.1 if channel == live else 3e-5 for channel in range(8)])
    audio[:, (live + 3) % 8] += 0.3
    assert (heard(ChannelChoice(RATE), audio) == audio[:, live]).all()


def test_of_an_array_the_first_is_heard_though_others_are_a_little_louder() -> None:
    audio = recorded([0.05, 0.1, 0.08, 0.06])
    assert (heard(ChannelChoice(RATE), audio) == audio[:, 0]).all()


def test_dead_until_somebody_speaks_it_is_the_first_and_then_the_one_that_hears_him() -> None:
    choice = ChannelChoice(RATE)
    silence = np.zeros((RATE, 4), np.float32)
    assert not heard(choice, silence).any()
    audio = recorded([0.0, 0.0, 0.1, 0.0])
    assert (heard(choice, audio) == audio[:, 2]).all()


def test_after_half_a_second_of_sound_it_stays() -> None:
    """The first is the device's own processing, and another is what it plays: loud, later."""
    choice = ChannelChoice(RATE)
    heard(choice, recorded([0.02, 0.02, 0.0]))
    later = recorded([0.001, 0.001, 0.5])
    assert (heard(choice, later) == later[:, 0]).all()


def test_what_is_no_number_is_silence() -> None:
    audio = np.full((4, 1), 0.5, np.float32)
    audio[:3, 0] = np.nan, np.inf, -np.inf
    assert ChannelChoice(RATE).push(audio).tolist() == [0, 0, 0, 0.5]
