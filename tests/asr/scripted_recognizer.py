"""A recognizer of a made-up language, in whose audio each token is one loud sample: its time is exact.

Frames are as long as Moonshine's. A frame that nothing follows yet is misheard, as real ones are: what is
read of the last 96 ms changes as the audio goes on. The decoder keeps what it reads, and fails if it is
asked for what it cannot know.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.moonshine.config import BOS, EOS
from asr.moonshine.text_decoder import Step
from asr.recognizer import Recognizer

RATE, FRAME = 16000, 384
LOOK_AHEAD, MISHEARD = 8, 4  # frames
_TOKENS = 1024
_HUM = 0.25  # of the voice between two tokens
WORDS = range(10, 800)
SUFFIXES = range(800, 900)  # they go on with the word before
COMMA, SPACE = 900, 901

Array = NDArray[np.float32]


def spelling(token: int) -> bytes:
    if token in WORDS:
        return b"\xe2\x96\x81w%d" % token
    return {COMMA: b",", SPACE: b"\xe2\x96\x81"}.get(token, b"x%d" % token if token in SUFFIXES else b"")


VOCABULARY = [spelling(token) for token in range(_TOKENS)]


def voice(tokens: Sequence[int], token_s: float = 0.3) -> Array:
    """Say `tokens`, each `token_s` long (commas 30 ms) and heard 10 ms before its end."""
    return np.concatenate([np.zeros(0, np.float32), *(_sound(token, token_s) for token in tokens)])


def _sound(token: int, token_s: float) -> Array:
    audio = np.full(round((0.03 if token == COMMA else token_s) * RATE), _HUM, np.float32)
    audio[1::2] *= -1
    audio[-RATE // 100] = 0.5 + token / (2 * _TOKENS)
    return audio


def pause(seconds: float) -> Array:
    return np.zeros(round(seconds * RATE), np.float32)


def text(tokens: Sequence[int]) -> str:
    """What is written for them."""
    return b"".join(VOCABULARY[token] for token in tokens).decode().replace("\u2581", " ").strip()


def _frames(audio: Array, sure: int) -> Array:
    """The token of each whole frame, 0 where there is none, [n, 1]; from the `sure`-th on misheard."""
    loudest = audio[: len(audio) // FRAME * FRAME].reshape(-1, FRAME).max(1)
    tokens = np.where(loudest >= 0.5, np.round((loudest - 0.5) * 2 * _TOKENS), 0)
    wrong = (tokens > 0) & (np.arange(len(tokens)) >= sure) & (tokens < WORDS[-1])
    return np.where(wrong, tokens + 1, tokens)[:, None].astype(np.float32)


@dataclass
class EncoderState:
    rest: Array = field(default_factory=lambda: np.zeros(0, np.float32))


class Stream:
    """Frames are final when LOOK_AHEAD more have been heard."""

    def begin(self) -> EncoderState:
        return EncoderState()

    def push(self, state: EncoderState, audio: Array) -> Array:
        assert audio.dtype == np.float32
        state.rest = np.concatenate([state.rest, audio])
        final = max(0, len(state.rest) // FRAME - LOOK_AHEAD)
        hidden = _frames(state.rest[: final * FRAME], final)
        state.rest = state.rest[final * FRAME :].copy()
        return hidden

    def peek(self, state: EncoderState) -> Array:
        return _frames(state.rest, len(state.rest) // FRAME - MISHEARD)


class Full:
    """Hears everything but the end, as `Stream` does."""

    def __init__(self) -> None:
        self.heard: list[Array] = []

    def encode(self, audio: Array) -> Array:
        assert audio.dtype == np.float32
        self.heard.append(audio)
        audio = np.pad(audio, (0, max(0, FRAME - len(audio))))
        return _frames(audio, len(audio) // FRAME - MISHEARD)


@dataclass
class DecoderState:
    heard: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)


class Decoder:
    """Writes the tokens in the order in which they are heard."""

    def __init__(self) -> None:
        self.passes = 0
        self.rows = 0

    def begin(self) -> DecoderState:
        return DecoderState()

    def push(self, state: DecoderState, hidden: Array, at: int | None = None) -> None:
        at = len(state.heard) if at is None else at
        assert 0 <= at <= len(state.heard)
        state.heard[at:] = hidden.reshape(-1).astype(int).tolist()

    def truncate(self, state: DecoderState, positions: int) -> None:
        assert 0 <= positions <= len(state.tokens)
        del state.tokens[positions:]

    def decode(
        self,
        state: DecoderState,
        tokens: Sequence[int],
        rows_from: int = 0,
        watched: NDArray[np.int64] | None = None,
    ) -> Step:
        """The frame of the token before is listened to, and of the first the first frame.

        Of the tokens `watched` it says how sure it is if it writes them, and that all others never follow.
        """
        assert state.heard and 0 <= rows_from < len(tokens)
        first = len(state.tokens) + rows_from
        state.tokens += tokens
        assert state.tokens[0] == BOS and BOS not in state.tokens[1:]
        self.passes, self.rows = self.passes + 1, self.rows + len(tokens) - rows_from
        spoken = [(token, frame) for frame, token in enumerate(state.heard) if token]
        best, attention = [], np.full((len(tokens) - rows_from, len(state.heard)), 0.001, np.float32)
        for row, position in enumerate(range(first, len(state.tokens))):
            best.append(spoken[position][0] if position < len(spoken) else EOS)
            before = min(position, len(spoken))
            attention[row, spoken[before - 1][1] if before else 0] = 0.9
        sure = np.log([certainty(token) for token in best]).astype(np.float32)
        chosen = np.array(best)[:, None] == np.array([] if watched is None else watched)
        told = np.where(chosen, sure[:, None], np.float32(-20))
        return Step(np.array(best), sure, attention, told)


def certainty(token: int) -> float:
    """How sure the decoder is of it."""
    return 1 - token % 8 / 10


def recognizer() -> Recognizer:
    return Recognizer(Stream(), Full(), Decoder(), VOCABULARY)
