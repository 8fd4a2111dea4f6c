"""What is said twice, and what is said unsurely, when two passes read it: neither may be lost by a guard."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scripted_recognizer import VOCABULARY, Decoder, DecoderState, Full, Stream, pause, text, voice

from asr.audio import AudioSpan
from asr.moonshine.text_decoder import Step
from asr.recognizer import Recognizer
from asr.stream import StreamConfig, Transcriber

Array = NDArray[np.float32]
PHRASE = [16, 24, 32]  # said with certainty


class Inattentive(Decoder):
    """Attends to the first frame always, so that every phrase seems to be repeated where it was before."""

    def decode(
        self,
        state: DecoderState,
        tokens: Sequence[int],
        rows_from: int = 0,
        watched: NDArray[np.int64] | None = None,
    ) -> Step:
        step = super().decode(state, tokens, rows_from, watched)
        attention = np.zeros_like(step.attention)
        attention[:, 0] = 1
        return step._replace(attention=attention)


class Twice(Full):
    """Hears everything twice."""

    def encode(self, audio: Array) -> Array:
        return super().encode(np.concatenate([audio, audio]))


class Surely(Full):
    """Hears w16, of which it is certain, wherever a word is."""

    def encode(self, audio: Array) -> Array:
        frames = super().encode(audio)
        return np.where(frames > 0, np.float32(16), frames)


def final(said: list[int], full: Full, decoder: Decoder, **config: object) -> str:
    models = Recognizer(Stream(), full, decoder, VOCABULARY)  # type: ignore[arg-type]
    transcriber = Transcriber(models, StreamConfig(**config))  # type: ignore[arg-type]
    audio = np.concatenate([pause(0.3), voice(said, 0.3), pause(0.5)])
    return transcriber.final(AudioSpan(audio)).text


@pytest.mark.parametrize("said", [PHRASE * 2, PHRASE * 5, [*PHRASE * 3, 40, 48]])
def test_a_repetition_that_both_passes_read_was_said(said: list[int]) -> None:
    assert final(said, Full(), Inattentive()) == text(said)


def test_a_repetition_that_one_pass_reads_was_not() -> None:
    assert final(PHRASE, Twice(), Inattentive()) == text(PHRASE)


def test_a_pass_alone_says_no_doubtful_repetition() -> None:
    assert final(PHRASE * 2, Full(), Inattentive(), second_pass=False) == text(PHRASE)
    assert final([*PHRASE * 2, 40, 48], Full(), Inattentive(), second_pass=False) == text(
        [*PHRASE * 2, 40, 48]
    )


@pytest.mark.parametrize(
    ("said", "full", "understood"),
    [([15, 15], Full(), ""), ([15, 15], Surely(), "w16 w16"), ([15], Surely(), "")],
)
def test_unsure_words_stay_where_the_second_pass_is_sure_of_two(
    said: list[int], full: Full, understood: str
) -> None:
    """w15 is said with a certainty of 0.3."""
    assert final(said, full, Decoder(), min_confidence=0.35) == understood
