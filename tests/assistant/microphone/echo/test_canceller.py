"""The core on scripted signals: alignment, block sizes, bad input, and the verdict."""

import re

import numpy as np
import pytest
from echo_signals import RATE, Array, level_db, murmur, room, through, white
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.microphone.echo.aec import open_aec
from assistant.microphone.echo.canceller import LATENCY, Cleaned, EchoCanceller
from assistant.microphone.echo.reference import EARLY


def run(canceller: EchoCanceller, microphone: Array, reference: Array, size: int = 320) -> Cleaned:
    pieces = [
        canceller.push(microphone[at : at + size], reference[at : at + size])
        for at in range(0, len(microphone), size)
    ]
    return Cleaned(np.concatenate([p.listen for p in pieces]), np.concatenate([p.detect for p in pieces]))


def test_both_signals_stay_in_place() -> None:
    """The same sound at the same sample, in what goes in and in what comes out."""
    microphone = murmur(3, seed=7)
    cleaned = run(EchoCanceller(open_aec), microphone, np.zeros_like(microphone))
    assert np.array_equal(cleaned.listen, microphone[: len(cleaned.listen)])
    middle = cleaned.detect[RATE : 2 * RATE]
    lags = range(-40, 41)
    products = [float(middle @ microphone[RATE + lag : 2 * RATE + lag]) for lag in lags]
    assert lags[int(np.argmax(products))] == 0


@given(st.lists(st.integers(1, 900), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None)
def test_the_size_of_the_blocks_changes_nothing(sizes: list[int]) -> None:
    total = sum(sizes)
    reference = white(total / RATE + 0.1)[:total]
    microphone = through(reference, room()) + white(total / RATE + 0.1, seed=3)[:total]
    whole = EchoCanceller(open_aec).push(microphone, reference)
    canceller, at, pieces = EchoCanceller(open_aec), 0, []
    for size in sizes:
        pieces.append(canceller.push(microphone[at : at + size], reference[at : at + size]))
        at += size
        given_back = sum(len(piece.listen) for piece in pieces)
        assert at - LATENCY <= given_back <= at
    assert np.array_equal(np.concatenate([piece.listen for piece in pieces]), whole.listen)
    assert np.array_equal(np.concatenate([piece.detect for piece in pieces]), whole.detect)
    assert len(whole.listen) == len(whole.detect)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, 1.0, 0.5])
@pytest.mark.parametrize("where", ["microphone", "reference"])
def test_bad_input_passes_and_the_echo_is_cancelled_again(value: float, where: str) -> None:
    reference = white(8)
    echo = through(reference, room())
    bad = {"microphone": echo.copy(), "reference": reference.copy()}
    bad[where][RATE : RATE + RATE // 2] = value
    cleaned = run(EchoCanceller(open_aec), bad["microphone"], bad["reference"])
    assert np.isfinite(cleaned.listen).all() and np.isfinite(cleaned.detect).all()
    assert np.abs(cleaned.listen).max() < 4
    assert level_db(cleaned.listen[-RATE:]) < level_db(echo[-RATE:]) - 15


def test_cancelling_is_told_with_its_decibels() -> None:
    reference = murmur(8)
    canceller = EchoCanceller(open_aec)
    run(canceller, through(reference, room()) + white(8, level=1e-4), reference)
    assert canceller.duplex.mode == "cancelling"
    levels = canceller.levels
    assert levels.erle_db is not None and levels.erle_db > 10
    assert levels.echo == pytest.approx(levels.microphone, abs=1)
    assert levels.near < levels.microphone - 10


def test_headphones_are_no_echo() -> None:
    reference = murmur(8)
    canceller = EchoCanceller(open_aec)
    run(canceller, white(8, level=1e-4), reference)
    assert canceller.duplex.mode == "no echo" and not canceller.duplex.deaf_while_speaking


def test_an_echo_that_nobody_can_cancel_makes_it_deaf_while_it_speaks() -> None:
    """What arrives is as loud as an echo, but another signal: no filter finds it."""
    reference, quiet = murmur(8), white(4, level=1e-4)
    canceller = EchoCanceller(open_aec)
    run(canceller, quiet, np.zeros_like(quiet))
    run(canceller, murmur(8, seed=11), reference)
    assert canceller.duplex.deaf_while_speaking
    assert "dB of the loudspeaker's echo can be cancelled" in canceller.duplex.reason


def test_without_aec3_it_is_deaf_while_it_speaks() -> None:
    reference = murmur(8)
    canceller = EchoCanceller(None, "not installed")
    run(canceller, through(reference, room()), reference)
    assert canceller.duplex.deaf_while_speaking and canceller.duplex.reason == "not installed"


def test_a_microphone_that_is_the_loudspeakers_monitor_is_told() -> None:
    """PulseAudio's answer to an unplugged microphone: the played signal, level 1, no delay."""
    reference = murmur(8)
    copy = np.concatenate([np.zeros(EARLY, np.float32), reference])[: len(reference)]
    canceller = EchoCanceller(open_aec)
    run(canceller, copy, reference)
    assert canceller.duplex.deaf_while_speaking and "monitor" in canceller.duplex.reason


def test_a_loud_loudspeaker_close_by_is_no_monitor() -> None:
    reference = murmur(8)
    canceller = EchoCanceller(open_aec)
    run(canceller, through(reference, room(delay=EARLY + 20, gain=1.0)), reference)
    assert canceller.duplex.mode == "cancelling"


def test_a_delay_over_400_ms_is_told() -> None:
    reference = murmur(8)
    canceller = EchoCanceller(open_aec)
    run(canceller, through(reference, room(delay=EARLY + 7200)), reference)
    assert canceller.duplex.deaf_while_speaking
    assert re.search(r"4[45]\d ms late", canceller.duplex.reason)
