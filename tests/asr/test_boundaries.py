"""Where segments end: on audio whose pauses are known."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.boundaries import SegmentConfig, find_boundary
from asr.words import Word

RATE = 16000
Array = NDArray[np.float32]
CONFIG = SegmentConfig()


NOISE = np.random.default_rng(0).normal(0, 1, 60 * RATE).astype(np.float32)


def noise(seconds: float, rms: float) -> Array:
    return NOISE[: round(seconds * RATE)] * np.float32(rms)


def spoken(*words_s: tuple[float, float], seconds: float, rms: float = 0.1) -> tuple[Array, list[Word]]:
    """Noise for each word, from and to the second, with 60 dB less between them."""
    audio = noise(seconds, rms / 1000)
    for start_s, end_s in words_s:
        audio[round(start_s * RATE) : round(end_s * RATE)] *= 1000
    return audio, [Word("word", start_s, end_s, 1.0) for start_s, end_s in words_s]


def fluent(start_s: float, end_s: float) -> list[tuple[float, float]]:
    """Words of 0.4 s with nothing between them."""
    return [(float(at), float(at) + 0.4) for at in np.arange(start_s, end_s - 0.3, 0.4)]


def cut_s(audio: Array, words: Sequence[Word], config: SegmentConfig = CONFIG) -> float | None:
    boundary = find_boundary(audio, words, config)
    return None if boundary is None else boundary.sample / RATE


def test_a_short_piece_is_not_cut() -> None:
    audio, words = spoken(*fluent(0, 4), *fluent(5, 7.8), seconds=7.99)
    assert cut_s(audio, words) is None


def test_the_cut_is_in_the_pause() -> None:
    audio, words = spoken(*fluent(0, 6), *fluent(6.6, 10), seconds=10.5)
    boundary_s = cut_s(audio, words)
    assert boundary_s is not None
    assert 6.0 + 0.1 <= boundary_s <= 6.6 - 0.1


def test_of_several_pauses_it_is_the_latest() -> None:
    audio, words = spoken(*fluent(0, 5), *fluent(5.6, 7.6), *fluent(8.4, 10), seconds=10.5)
    boundary_s = cut_s(audio, words)
    assert boundary_s is not None
    assert 7.7 <= boundary_s <= 8.3


def test_the_first_piece_does_not_become_too_short() -> None:
    audio, words = spoken(*fluent(0, 2), *fluent(3, 9.8), seconds=10)
    assert cut_s(audio, words) is None


@pytest.mark.parametrize("gap_s", [0, 0.05, 0.1, 0.15])
def test_a_gap_of_less_than_200_ms_is_no_pause(gap_s: float) -> None:
    """Stops within words are as long."""
    audio, words = spoken(*fluent(0, 6), *fluent(6 + gap_s, 10), seconds=10.3)
    assert cut_s(audio, words) is None


def test_the_latest_audio_is_not_looked_at() -> None:
    audio, words = spoken(*fluent(0, 8.8), seconds=9.7)
    assert cut_s(audio, words) is None
    audio, words = spoken(*fluent(0, 8.8), seconds=10.4)
    boundary_s = cut_s(audio, words)
    assert boundary_s is not None
    assert 8.8 + 0.1 <= boundary_s <= 10.4 - 0.8


def test_where_nobody_pauses_it_is_the_weakest_place_of_the_second_half() -> None:
    audio, words = spoken(*fluent(0, 19.6), seconds=19.98)
    assert cut_s(audio, words) is None
    audio, words = spoken(*fluent(0, 20.3), seconds=20.3)
    audio[: 9 * RATE] *= 0.6  # weaker still, but too early
    audio[round(13.3 * RATE) : round(13.6 * RATE)] *= 0.7
    audio[round(19.6 * RATE) :] *= 0.5  # and too late
    boundary_s = cut_s(audio, words)
    assert boundary_s is not None
    assert 13.3 <= boundary_s <= 13.6


def test_a_constant_offset_hides_no_pause() -> None:
    audio, words = spoken(*fluent(0, 6), *fluent(6.6, 10), seconds=10.5)
    assert cut_s(audio + np.float32(0.3), words) == cut_s(audio, words)


@pytest.mark.parametrize("gain", [0.001, 0.1, 5])
def test_loudness_does_not_matter(gain: float) -> None:
    audio, words = spoken(*fluent(0, 6), *fluent(6.6, 10), seconds=10.5)
    boundary_s, same_s = cut_s(audio, words), cut_s(audio * np.float32(gain), words)
    assert boundary_s is not None and same_s is not None
    assert 6.1 <= same_s <= 6.5


@pytest.mark.parametrize("seconds", [8, 12, 19.9])
def test_without_words_there_is_nothing_to_cut_between(seconds: float) -> None:
    assert cut_s(noise(seconds, 0.1), []) is None
    assert cut_s(np.zeros(round(seconds * RATE), np.float32), []) is None


@pytest.mark.parametrize("seconds", [20, 22])
@pytest.mark.parametrize("rms", [0, 0.1])
def test_but_not_even_silence_is_kept_for_ever(seconds: float, rms: float) -> None:
    boundary_s = cut_s(noise(seconds, rms), [])
    assert boundary_s is not None
    assert seconds / 2 <= boundary_s <= seconds - 0.8


@st.composite
def long_form(draw: st.DrawFn) -> tuple[Array, list[Word]]:
    at_s, words_s = draw(st.floats(0, 1)), []
    for _ in range(draw(st.integers(0, 50))):
        end_s = at_s + draw(st.floats(0.1, 0.6))
        words_s.append((at_s, end_s))
        at_s = end_s + draw(st.sampled_from([0.0, 0.0, 0.1, 0.3, 1.0]))
    return spoken(*words_s, seconds=at_s + draw(st.floats(0, 1.5)) + 0.1)


@given(long_form(), st.floats(-0.06, 0.06))
@settings(max_examples=60, deadline=None)
def test_no_word_is_cut_through_or_on_the_wrong_side(case: tuple[Array, list[Word]], wrong_s: float) -> None:
    """Even if all ends are known no better than to 60 ms."""
    audio, words = case
    guessed = [Word(word.text, word.start_s, max(0.0, word.end_s + wrong_s), 1.0) for word in words]
    boundary = find_boundary(audio, guessed, CONFIG)
    if boundary is None:
        assert len(audio) < 20 * RATE
        return
    if len(audio) < 8 * RATE:  # only a long pause ends so short a piece
        ends_s = [*(word.start_s for word in words), len(audio) / RATE]
        assert ends_s[boundary.words] - words[boundary.words - 1].end_s > CONFIG.pause_s
    assert boundary.sample <= len(audio) - 0.8 * RATE
    if len(audio) < 20 * RATE:  # else a word may have to be cut
        assert boundary.words == sum(word.end_s <= boundary.sample / RATE for word in words)
        assert boundary.words == sum(word.start_s < boundary.sample / RATE for word in words)


@pytest.mark.parametrize("late_s", [0, 0.2, 0.5, 0.65])
@pytest.mark.parametrize("length_s", [0.2, 0.6])
def test_a_word_is_before_the_pause_even_if_its_end_is_placed_behind_it(
    late_s: float, length_s: float
) -> None:
    """The decoder listens over the pause to what comes next."""
    before, after = fluent(0, 6), fluent(6.5 + length_s, 10)
    audio, words = spoken(*before, (6.0, 6.0 + length_s), *after, seconds=9.5)
    words[len(before)] = Word("late", 6.0, 6.0 + length_s + late_s, 1.0)
    boundary = find_boundary(audio, words, CONFIG)
    assert boundary is not None
    assert 6.1 + length_s <= boundary.sample / RATE <= 6.4 + length_s
    assert boundary.words == len(before) + 1


@pytest.mark.parametrize(
    "wrong",
    [{"shortest_s": 0.5}, {"shortest_s": 21}, {"stability_delay_s": -0.1}, {"stability_delay_s": 9.6}],
)
def test_impossible_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SegmentConfig(**wrong)
