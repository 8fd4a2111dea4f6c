import numpy as np
import pytest
from echo_signals import RATE, Array, level_db

from assistant.microphone.echo.reference import EARLY, Reference


def tone(at: np.ndarray, hz: float = 1000) -> Array:
    return (0.5 * np.sin(2 * np.pi * hz * at / RATE)).astype(np.float32)


@pytest.mark.parametrize("hz", [200, 1000, 3000, 5000])
@pytest.mark.parametrize("ppm", [0, 50, -200])
def test_it_reads_between_samples_and_at_another_rate(hz: float, ppm: float) -> None:
    reference = Reference()
    reference.push(tone(np.arange(2 * RATE), hz))
    blocks = [reference.read(1000.3 + at * (1 + ppm * 1e-6), 160, ppm) for at in range(0, RATE, 160)]
    exact = tone((1000.3 + EARLY) + np.arange(RATE) * (1 + ppm * 1e-6), hz)
    assert level_db(np.concatenate(blocks) - exact) < level_db(exact) - 40


def test_whole_samples_are_the_samples() -> None:
    reference = Reference()
    played = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    reference.push(played)
    assert np.allclose(reference.read(100, 320), played[100 + EARLY : 420 + EARLY], atol=1e-6)


def test_silence_is_silence_to_the_bit() -> None:
    reference = Reference()
    reference.push(np.zeros(RATE, np.float32))
    assert not reference.read(3.7, 320, 50).any()


def test_what_was_not_given_is_silence() -> None:
    reference = Reference()
    reference.push(np.ones(400, np.float32))
    read = reference.read(300 - EARLY, 320)
    assert read[:80] == pytest.approx(1, abs=1e-5) and not read[120:].any()


def test_times_that_scatter_do_not_move_it_and_a_jump_does() -> None:
    """Stated times are wrong by a millisecond; read there, each block would begin elsewhere."""
    random = np.random.default_rng(0)
    reference = Reference()
    reference.push(tone(np.arange(3 * RATE)))
    blocks = [reference.read(1000 + at + random.normal(0, 15), 160) for at in range(0, RATE, 160)]
    together = np.concatenate(blocks)
    steps = np.abs(np.diff(together)).max()
    assert steps < 0.5 * 2 * np.pi * 1000 / RATE * 1.01
    assert reference.jumps == 0
    reference.read(2 * RATE, 160)
    assert reference.jumps == 1
