"""Word times, from the frames that the decoder attended to while it chose the tokens."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.decode import Row
from asr.moonshine.config import RECEPTIVE_SAMPLES, SAMPLES_PER_FRAME
from asr.moonshine.vocabulary import text_of
from asr.words import Word

FRAME_S = SAMPLES_PER_FRAME / RATE
_SPACE = "\u2581".encode()
_LETTER_S = 0.07  # in which a letter is spoken: a word's first token tells where that ends
_FLOOR = 1e-4  # of attention: a single row that looks elsewhere must not move all others


def monotonic_path(attention: Sequence[NDArray[np.float32]]) -> list[int]:
    """The frame of each row [frames], never going back, where the product of the attention is largest.

    The rows may end at different frames: they were taken while the audio grew.
    """
    if not attention:
        return []
    frames = max(map(len, attention))
    logs = np.full((len(attention), frames), np.log(_FLOOR), np.float32)
    for row, weights in zip(logs, attention, strict=True):
        row[: len(weights)] = np.log(np.maximum(weights, _FLOOR))
    best, origins = logs[0].copy(), []
    for row in logs[1:]:
        reached = np.maximum.accumulate(best)
        # Where the running maximum last rose is the frame it was reached from.
        rises = np.where(best == reached, np.arange(frames), 0)
        origins.append(np.maximum.accumulate(rises))
        best = reached + row
    path = [int(best.argmax())]
    for origin in reversed(origins):
        path.append(int(origin[path[-1]]))
    return path[::-1]


def words_of(
    tokens: Sequence[int],
    vocabulary: Sequence[bytes],
    rows: Sequence[Row],
    offset_s: float = 0.0,
    begin_s: float = 0.0,
) -> list[Word]:
    """The words that `tokens` spell, and when: `rows` are those that chose each token, and the end.

    Given a token, the decoder attends to the end of what that spells, so the row behind a word's last
    letters tells the word's end; for punctuation it attends to the pause, for 0.7 s and more. Times are
    `offset_s` later than in the audio; nothing is before `begin_s`, the end of the word before the first.
    """
    frames = monotonic_path([row.attention for row in rows])
    words: list[Word] = []
    for first, end in word_bounds(tokens, vocabulary):
        text = text_of(tokens[first:end], vocabulary)
        letters = len(text_of(tokens[first : first + 1], vocabulary))
        start_s = max(begin_s, offset_s + _time_s(frames[first + 1]) - letters * _LETTER_S)
        end_s = max(start_s, offset_s + _time_s(frames[spelling_end(tokens, vocabulary, first, end)]))
        confidence = float(np.exp(np.mean([row.log_prob for row in rows[first:end]])))
        words.append(Word(text, start_s, end_s, min(1.0, confidence), end - first))
        begin_s = end_s
    return words


def spelling_end(tokens: Sequence[int], vocabulary: Sequence[bytes], first: int, end: int) -> int:
    """Before which token the word of tokens `first` to `end` ends without the punctuation behind it."""
    while end > first + 1 and not any(map(str.isalnum, vocabulary[tokens[end - 1]].decode(errors="replace"))):
        end -= 1
    return end


def _time_s(frame: int) -> float:
    """The middle of what a frame is computed from."""
    return frame * FRAME_S + RECEPTIVE_SAMPLES / 2 / RATE


def word_bounds(tokens: Sequence[int], vocabulary: Sequence[bytes]) -> list[tuple[int, int]]:
    """From which token to before which each word goes: a word begins with a space, and is more than that.

    Spaces behind the last word belong to it.
    """
    bounds: list[tuple[int, int]] = []
    first = 0
    for i, token in enumerate(tokens):
        if vocabulary[token].startswith(_SPACE) and text_of(tokens[first:i], vocabulary):
            bounds.append((first, i))
            first = i
    if text_of(tokens[first:], vocabulary):
        return [*bounds, (first, len(tokens))]
    return [*bounds[:-1], *((begin, len(tokens)) for begin, _ in bounds[-1:])]
