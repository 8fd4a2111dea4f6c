"""How soon the words of a streaming recognizer are stable, and how many were shown and taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from asr.eval.feed import Shown, Transcript
from asr.eval.score import align
from asr.words import Word


@dataclass(frozen=True)
class Latency:
    """The figures of one clip. Case and punctuation make no other word: both change while one speaks."""

    first_partial_ms: float | None
    """From where speech begins to the first partial that shows a new word, the computing included: what a
    recognizer made of the silence before is no answer. None if there was no such partial, or nothing tells
    where speech begins."""
    stable_ms: tuple[float, ...]
    """For each word that a partial made stable, from its end, the computing included. Below 0: stable before
    the word ends for the full model."""
    at_final_ms: tuple[float, ...]
    """Likewise for each word that only the final text has. A clip may end right after its last word, and
    its final text come sooner than in a session, where the end of a turn has to be decided on."""
    shown: int
    """Words shown: those of the first partial, and what each later one and the final text add or change."""
    revised: int
    """How many of them the next text no longer has: unstable words, and what the final text contradicts."""
    retracted: int
    """Stable words that a later partial does not have at their place: 0, or the stabiliser is at fault."""
    contradicted: int
    """Edits that turn the last stable words into a beginning of the final text."""
    stable: int
    """Words of the last stable prefix."""


def latency(transcript: Transcript, said: Sequence[Word], speech_start_s: float | None) -> Latency:
    """Hold a transcript against `said`, the words of the full model with their times.

    `speech_start_s` is where a label says that speech begins; without one, the first of `said` begins it.
    """
    if speech_start_s is None and said:
        speech_start_s = said[0].start_s
    texts = [_keys(shown.words) for shown in transcript.shown] + [_keys(transcript.text.split())]
    new, gone = _changes(texts)
    stable = _keys(transcript.shown[-1].stable) if transcript.shown else []
    stable_ms, at_final_ms = _delays(transcript, said)
    return Latency(
        None if speech_start_s is None else _first_partial_ms(transcript.shown, speech_start_s * 1000),
        tuple(stable_ms),
        tuple(at_final_ms),
        new,
        gone,
        sum(_lost(before.stable, after.stable) for before, after in pairwise(transcript.shown)),
        closest_prefix(stable, texts[-1])[0],
        len(stable),
    )


def closest_prefix(words: Sequence[str], text: Sequence[str]) -> tuple[int, int]:
    """The fewest edits from `words` to a beginning of `text`, and the longest such beginning's length."""
    row = list(range(len(text) + 1))  # edits from the words so far to each beginning
    for word in words:
        before, row = row, [row[0] + 1]
        for place, other in enumerate(text):
            row.append(min(before[place] + (word != other), before[place + 1] + 1, row[place] + 1))
    fewest = min(row)
    return fewest, max(length for length, edits in enumerate(row) if edits == fewest)


def _first_partial_ms(shown: Sequence[Shown], start_ms: float) -> float | None:
    before: list[str] = []
    for partial in shown:
        keys = _keys(partial.words)
        if partial.shown_ms > start_ms and keys and keys != before:
            return partial.shown_ms - start_ms
        before = keys
    return None


def _changes(texts: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Words that came and words that went, over consecutive texts, the first of which comes after nothing."""
    steps = [step for before, after in pairwise([[], *texts]) for step in align(before, after)]
    new = sum(step.hypothesis is not None and not step.equal for step in steps)
    gone = sum(step.reference is not None and not step.equal for step in steps)
    return new, gone


def _lost(before: Sequence[str], after: Sequence[str]) -> int:
    return sum(place >= len(after) or not _kept(word, after[place]) for place, word in enumerate(before))


def _kept(word: str, after: str) -> bool:
    """Whether `after` is `word`, to the letter; punctuation may have come behind it."""
    return after.startswith(word) and not any(map(str.isalnum, after[len(word) :]))


def _delays(transcript: Transcript, said: Sequence[Word]) -> tuple[list[float], list[float]]:
    """The delays of the words that a partial made stable, and of those that only the final text has."""
    text = _keys(transcript.text.split())
    since = _stable_since(transcript.shown)
    stable, since_ms = [key for key, _ in since], dict[int, float]()
    _, length = closest_prefix(stable, text)
    for left, right, equal in align(stable, text[:length]):
        if left is not None and right is not None and equal:
            since_ms[right] = since[left][1]
    ends = [(key, word.end_s * 1000) for word in said for key in _keys(word.text.split())]
    by_partial, by_final = list[float](), list[float]()
    # A word that was misheard was still said: it takes the time of the word that it stands for.
    for left, right, _ in align([key for key, _ in ends], text):
        if left is not None and right is not None and right in since_ms:
            by_partial.append(since_ms[right] - ends[left][1])
        elif left is not None and right is not None:
            by_final.append(transcript.final_shown_ms - ends[left][1])
    return by_partial, by_final


def _stable_since(shown: Sequence[Shown]) -> list[tuple[str, float]]:
    """Each word of the last stable prefix, and when it came to stand there."""
    since: list[tuple[str, float]] = []
    for partial in shown:
        keys = _keys(partial.stable)
        kept = next((n for n, key in enumerate(keys) if n >= len(since) or since[n][0] != key), len(keys))
        since = since[:kept] + [(key, partial.shown_ms) for key in keys[kept:]]
    return since


def _keys(words: Sequence[str]) -> list[str]:
    """What of each word is compared; nothing of a dash that stands alone."""
    keys = ("".join(char for char in word.lower() if char.isalnum()) for word in words)
    return [key for key in keys if key]
