"""Readings with a phrase in them, beside a decoder whose language is a table of probabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log

import numpy as np
import pytest
from numpy.typing import NDArray

from asr.biasing import biased
from asr.decode import Decoding, decode
from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import Step
from asr.phrases import Phrases

STAR, STOP, BEEF, IT, SET, A, TOILET, TIMER, PING = range(3, 12)
WORDS = ["star", "stop", "beef", "it", "set", "a", "toilet", "timer"]
# Then what byte-pair encoding goes through: characters, and the beginnings of words.
PARTS = [
    "\u2581",
    *"abcdefghijklmnopqrstuvwxyz",
    *(f"\u2581{w[:n]}" for w in WORDS for n in range(1, len(w))),
]
VOCABULARY = [b"", b"", b"", *(f"\u2581{word}".encode() for word in WORDS), b"ping"]
VOCABULARY += [part.encode() for part in dict.fromkeys(PARTS) if part.encode() not in VOCABULARY]
Language = Mapping[tuple[int, ...], Mapping[int, float]]
"""What may follow a prefix; after one that is not there the text ends."""


@dataclass
class State:
    tokens: list[int] = field(default_factory=list)


@dataclass
class Table:
    language: Language
    passes: int = 0

    def decode(
        self,
        state: State,
        tokens: Sequence[int],
        rows_from: int = 0,
        watched: NDArray[np.int64] | None = None,
    ) -> Step:
        first, self.passes = len(state.tokens) + rows_from, self.passes + 1
        state.tokens += tokens
        assert state.tokens[0] == BOS
        table = np.full((len(state.tokens) - first, len(VOCABULARY)), 1e-9, np.float32)
        for row, end in zip(table, range(first, len(state.tokens)), strict=True):
            for token, p in self.language.get(tuple(state.tokens[1 : end + 1]), {EOS: 1.0}).items():
                row[token] = p
        logs = np.log(table)
        attention = np.eye(64, dtype=np.float32)[first : len(state.tokens)]
        seen = logs[:, [] if watched is None else watched]
        return Step(logs.argmax(1), logs.max(1), attention, seen)

    def truncate(self, state: State, positions: int) -> None:
        assert 0 <= positions <= len(state.tokens)
        del state.tokens[positions:]


def read(
    language: Language, phrases: Sequence[str], bonus: float = 2.0, forced: Sequence[int] = ()
) -> Decoding:
    decoder, state, found = Table(language), State(), Phrases(phrases, VOCABULARY, bonus)
    plain = decode(decoder, state, forced, 20, len(forced), (), found.watched)
    return biased(decoder, state, plain, found, 20, len(forced))


HEARD: Language = {
    (): {STAR: 0.5, STOP: 0.3, SET: 0.1},
    (STAR,): {BEEF: 0.4, EOS: 0.3},
    (STOP,): {EOS: 0.6, IT: 0.3, PING: 0.1},
    (SET,): {A: 1.0},
    (SET, A): {TOILET: 0.6, TIMER: 0.2},
}


def test_a_phrase_that_sounds_nearly_as_likely_is_read() -> None:
    assert read(HEARD, []).tokens == (STAR, BEEF)
    reading = read(HEARD, ["stop"])
    assert reading.tokens == (STOP,)
    # The confidence is that of the audio, without the bonus.
    assert [row.log_prob for row in reading.rows] == pytest.approx([log(0.3), log(0.6)])


@pytest.mark.parametrize(
    ("bonus", "tokens"), [(0.1, (SET, A, TOILET)), (0.9, (SET, A, TOILET)), (1.2, (SET, A, TIMER))]
)
def test_the_bonus_is_what_a_phrase_may_be_less_likely_by(bonus: float, tokens: tuple[int, ...]) -> None:
    """log(0.6 / 0.2) = 1.1; the phrase leaves the reading at its third word."""
    heard = {**HEARD, (): {SET: 0.9}}
    assert read(heard, ["set a timer"], bonus).tokens == tokens


def test_a_phrase_that_was_only_begun_gains_nothing() -> None:
    assert read(HEARD, ["stop beef"]).tokens == (STAR, BEEF)
    letters_go_on = {**HEARD, (STOP,): {PING: 0.9, EOS: 0.1}}
    assert read(letters_go_on, ["stop"]).tokens == (STAR, BEEF)


def test_the_longer_phrase_is_taken_where_it_is_likelier() -> None:
    heard = {**HEARD, (STOP,): {IT: 0.9, EOS: 0.1}}
    assert read(heard, ["stop", "stop it"]).tokens == (STOP, IT)


def test_no_bonus_makes_a_phrase_of_what_the_audio_rules_out() -> None:
    heard = {**HEARD, (): {STAR: 0.98, STOP: 0.01}}  # 4.6 nats
    assert read(heard, ["stop"], 10.0).tokens == (STAR, BEEF)


@pytest.mark.parametrize(
    ("heard", "phrase", "tokens"),
    [
        ({(): {EOS: 0.5, STOP: 0.4}}, "stop", ()),  # a click is no word
        ({(): {BEEF: 0.5, STOP: 0.4}, (STOP,): {BEEF: 1.0}}, "stop", (BEEF,)),
        ({(): {A: 0.5, TOILET: 0.4}}, "toilet", (A,)),
        ({(): {IT: 0.5, TIMER: 0.4}}, "timer", (TIMER,)),  # three letters more
    ],
)
def test_a_phrase_takes_the_place_of_words_and_is_not_added(
    heard: Language, phrase: str, tokens: tuple[int, ...]
) -> None:
    assert read(heard, [phrase]).tokens == tokens


def test_forced_tokens_stay() -> None:
    assert read(HEARD, ["stop"], forced=[STAR]).tokens == (STAR, BEEF)


def test_a_reading_that_holds_a_phrase_already_costs_no_pass() -> None:
    heard = {**HEARD, (): {STOP: 0.99}}
    decoder, state, found = Table(heard), State(), Phrases(["stop"], VOCABULARY, 2.0)
    plain = decode(decoder, state, (), 20, 0, (), found.watched)
    before = decoder.passes
    assert biased(decoder, state, plain, found, 20) is plain
    assert decoder.passes == before
