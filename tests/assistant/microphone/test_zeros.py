"""Microphones that give nothing, and how often that is said."""

import numpy as np

from assistant.microphone.devices.port import Audio
from assistant.microphone.zeros import Noticed, Zeros

RATE = 1000
SOUND = np.full(10, 1e-4, np.float32)
NOTHING = np.zeros(10, np.float32)


def noticed(*spans: tuple[Audio, float]) -> list[tuple[float, Noticed]]:
    """At which second what is noticed, in spans of blocks of so many seconds."""
    zeros, at, found = Zeros(RATE), 0, []
    for block, seconds in spans:
        for _ in range(round(seconds * 100)):
            at += 1
            if change := zeros.push(block):
                found.append((at / 100, change))
    return found


def test_a_microphone_is_heard_from_its_first_sound() -> None:
    assert noticed((NOTHING, 0.7), (SOUND, 100)) == [(0.71, "sound")]


def test_a_second_of_zeros_at_its_beginning_is_told_once_and_its_return_too() -> None:
    assert noticed((NOTHING, 60), (SOUND, 1)) == [(1.0, "zeros"), (60.01, "sound again")]


def test_later_it_takes_five_seconds() -> None:
    assert noticed((SOUND, 1), (NOTHING, 4.9), (SOUND, 1), (NOTHING, 5), (SOUND, 1)) == [
        (0.01, "sound"),
        (11.9, "zeros"),
        (11.91, "sound again"),
    ]


def test_a_gated_microphone_is_told_ever_less() -> None:
    """An hour with zeros of 30 s between sounds: 5, 10 and 20 s of them are told, 40 never come."""
    found = noticed((SOUND, 1), *[(NOTHING, 30.0), (SOUND, 10.0)] * 90)
    assert [what for _, what in found] == ["sound", *["zeros", "sound again"] * 3]


def test_what_a_sound_server_leaves_of_zeros_that_it_resamples_is_none() -> None:
    rest = np.full(10, 1e-12, np.float32)
    assert noticed((rest, 2)) == [(1.0, "zeros")]
