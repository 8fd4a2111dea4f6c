"""When the canceller beside the filter counts, with two that only scale."""

from collections.abc import Callable

import numpy as np
from echo_signals import RATE, Array

from assistant.microphone.echo.aec import DELAY, FRAME, Canceller
from assistant.microphone.echo.suppress import Suppressor


class Scaled:
    """A canceller that makes the near end quieter by a factor."""

    def __init__(self, factor: float) -> None:
        self.factor = np.float32(factor)

    def process(self, near: Array, far: Array) -> Array:
        return near * self.factor


def scaled(*factors: float) -> Callable[[], Canceller]:
    left = list(factors)
    return lambda: Scaled(left.pop(0))


def run(suppressor: Suppressor, sounds: Array) -> Array:
    """What comes of a constant 1 at both inputs."""
    ones = np.ones(len(sounds), np.float32)
    return suppressor.push(ones, ones, sounds)


def seconds(count: float, value: float) -> Array:
    return np.full(round(count * RATE), value, np.float32)


def test_while_it_learns_and_as_a_reply_begins_the_quieter_counts() -> None:
    sounds = np.concatenate([seconds(5, 1), seconds(1, 0), seconds(4, 1)])
    heard = np.pad(run(Suppressor(scaled(0.5, 0.25)), sounds), (DELAY, 0))
    at = [heard[round(second * RATE)] for second in (1, 2.9, 3.1, 4.5, 5.8, 6.5, 7.1, 7.4, 9)]
    assert at == [0.25, 0.25, 0.5, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5]


def test_what_is_louder_never_counts() -> None:
    assert (run(Suppressor(scaled(0.5, 0.75)), seconds(5, 1)) == 0.5).all()


def test_without_sound_only_the_filters_output_counts() -> None:
    assert (run(Suppressor(scaled(0.5, 0.25)), seconds(5, 0)) == 0.5).all()


def test_it_changes_over_a_frame_and_not_in_a_step() -> None:
    heard = run(Suppressor(scaled(0.5, 0.25)), seconds(5, 1))
    assert np.abs(np.diff(heard)).max() < 0.3 / FRAME
