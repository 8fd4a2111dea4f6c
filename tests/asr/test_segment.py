"""One segment of long-form audio while it grows, in the made-up language of `scripted_recognizer`."""

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scripted_recognizer import (
    COMMA,
    FRAME,
    RATE,
    SUFFIXES,
    VOCABULARY,
    WORDS,
    Decoder,
    DecoderState,
    certainty,
    pause,
    recognizer,
    text,
    voice,
)

from asr.moonshine.text_decoder import Step
from asr.recognizer import Recognizer
from asr.segment import Segment
from asr.words import Word

SUFFIX = SUFFIXES[0]
tokens_of_words = st.lists(st.sampled_from([*WORDS[:20], *SUFFIXES[:2], COMMA]), max_size=12)


def texts(words: list[Word]) -> list[str]:
    return [word.text for word in words]


@given(tokens_of_words, st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_words_grow_and_those_that_are_committed_are_not_decoded_again(tokens: list[int], seed: int) -> None:
    """What is fixed in between changes the rows that are computed, and nothing else."""
    rng = random.Random(seed)
    audio = np.concatenate([pause(0.1), voice(tokens, 0.2), pause(0.5)])
    fixed, plain = Segment(recognizer(), 2.0), Segment(recognizer(), 2.0)
    at, stable = 0, 0
    while at < len(audio):
        end = at + rng.randint(1, RATE)
        for segment in (fixed, plain):
            segment.push(audio[at:end])
        words = fixed.decode()
        assert words == plain.decode()
        assert fixed.tokens == plain.tokens
        heard_s = 2.0 + fixed.seconds
        stable = max(stable, rng.randint(0, sum(word.end_s < heard_s - 0.2 for word in words)))
        fixed.commit(words, stable)
        at = min(end, len(audio))
    assert " ".join(texts(fixed.decode())) == text(tokens)
    assert fixed.seconds == len(audio) / RATE
    assert (fixed.audio == audio).all()


def test_the_rows_of_fixed_words_are_not_computed() -> None:
    models = recognizer()
    assert isinstance(models.decoder, Decoder)
    segment = Segment(models, 0.0)
    segment.push(np.concatenate([voice(list(range(10, 30)), 0.2), pause(0.5)]))
    words = segment.decode()
    before = models.decoder.rows
    segment.decode()
    assert models.decoder.rows == before + 21
    segment.commit(words, 18)
    segment.decode()
    assert models.decoder.rows == before + 21 + 3


def test_a_word_that_is_fixed_may_get_another_ending_but_stays() -> None:
    """What is stable is the word without the punctuation behind it."""
    segment = Segment(recognizer(), 0.0)
    said = voice([10, 11, COMMA], 0.3)
    segment.push(np.concatenate([said, pause(0.2)]))
    words = segment.decode()
    assert texts(words) == ["w10", "w11,"]
    segment.commit(words, 2)
    assert segment.forced == 2


def test_confidence_and_times_of_fixed_words_stay() -> None:
    segment = Segment(recognizer(), 3.0)
    segment.push(np.concatenate([voice([10, 11, SUFFIX, 13], 0.3), pause(0.5)]))
    words = segment.decode()
    segment.commit(words, 2)
    again = segment.decode()
    assert again == words
    assert [word.confidence for word in words] == pytest.approx(
        [certainty(10), (certainty(11) * certainty(SUFFIX)) ** 0.5, certainty(13)]
    )
    assert [word.end_s for word in words] == pytest.approx([3.29, 3.89, 4.19], abs=2 * FRAME / RATE)


def test_forced_tokens_are_written_whatever_is_heard() -> None:
    segment = Segment(recognizer(), 0.0, draft=(50, 51, 52), forced=2)
    segment.push(np.concatenate([voice([10, 11, 12, 13], 0.3), pause(0.5)]))
    assert texts(segment.decode()) == ["w50", "w51", "w12", "w13"]
    again = segment.rescore(pause(0))
    assert (again.text, again.accepted) == ("w10 w11 w12 w13", 0)  # the last reading knows better


def test_a_tail_is_heard_for_one_reading_only() -> None:
    segment = Segment(recognizer(), 0.0)
    segment.push(voice([10, 20], 0.4))
    assert texts(segment.decode()) == ["w10", "w21"]
    assert segment.rescore(pause(0.24)).text == "w10 w20"
    assert segment.rescore(voice([30], 0.4)).text == "w10 w20 w31"
    assert texts(segment.decode()) == ["w10", "w21"]
    segment.push(np.concatenate([voice([40]), pause(0.2)]))
    assert segment.rescore(pause(0)).text == "w10 w20 w40"
    assert segment.seconds == pytest.approx(1.3)


def test_the_last_reading_rereads_what_was_fixed() -> None:
    """Misheard, and fixed all the same: the last reading knows better."""
    segment = Segment(recognizer(), 0.0)
    segment.push(voice([10, 20], 0.4))
    words = segment.decode()
    assert texts(words) == ["w10", "w21"]
    segment.commit(words, 2)
    segment.push(np.concatenate([voice([40]), pause(0.2)]))
    assert texts(segment.decode()) == ["w10", "w21", "w40"]
    assert segment.rescore(pause(0)).text == "w10 w20 w40"
    assert texts(segment.decode()) == ["w10", "w21", "w40"]


@pytest.mark.parametrize("samples", [0, 1, FRAME - 1])
def test_less_than_a_frame_is_nothing(samples: int) -> None:
    segment = Segment(recognizer(), 0.0)
    assert segment.decode() == []
    assert segment.rescore(pause(1)).words == ()  # a tail alone is no speech
    segment.push(pause(samples / RATE))
    assert segment.decode() == []
    segment.commit([], 0)
    segment.push(np.concatenate([voice([10]), pause(0.2)]))
    assert texts(segment.decode()) == ["w10"]


@dataclass
class Stammering(Decoder):
    """Says what it hears, and then the last three tokens again for ever, where it heard them."""

    passes: int = 0
    rows: int = 0
    stammers: list[bool] = field(default_factory=list)

    def decode(
        self,
        state: DecoderState,
        tokens: list[int],
        rows_from: int = 0,
        watched: NDArray[np.int64] | None = None,
    ) -> Step:
        first = len(state.tokens) + rows_from
        step = super().decode(state, tokens, rows_from, watched)
        spoken = [token for token in state.heard if token]
        for row, position in enumerate(range(first, len(state.tokens))):
            if position >= len(spoken) >= 3:
                self.stammers.append(True)
                step.best[row] = spoken[-3 + (position - len(spoken)) % 3]
        return step


@pytest.mark.parametrize("stable", [0, 2, 5])
def test_words_are_not_written_twice_even_if_the_first_are_fixed(stable: int) -> None:
    decoder = Stammering()
    models = recognizer()
    segment = Segment(Recognizer(models.stream, models.full, decoder, VOCABULARY), 0.0)
    tokens = [10, 11, 12, 13, 14]
    segment.push(np.concatenate([voice(tokens, 0.4), pause(0.5)]))
    words = segment.decode()
    assert texts(words) == text(tokens).split()
    segment.commit(words, stable)
    assert texts(segment.decode()) == text(tokens).split()
    assert decoder.stammers
