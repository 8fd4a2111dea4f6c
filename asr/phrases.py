"""Phrases that are likely to be said, as a trie over the vocabulary's tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from asr.ending import Marks

COMMON = (
    "stop", "stop it", "stop that", "wait", "hold on", "hang on", "be quiet", "quiet please", "shut up",
    "cancel", "cancel that", "never mind", "pause", "resume", "continue", "go on", "next", "previous",
    "back", "repeat that", "say that again", "louder", "quieter", "volume up", "volume down",
    "turn it up", "turn it down", "mute", "unmute", "yes", "yes please", "no", "no thank you", "okay",
    "thanks", "thank you", "goodbye", "good night", "good morning", "hello", "help", "start",
    "start over", "enough", "snooze", "turn on the lights", "turn off the lights", "lights on",
    "lights off", "set a timer", "set a timer for", "stop the timer", "cancel the timer",
    "set an alarm", "stop the alarm", "cancel the alarm", "play some music", "play music",
    "stop the music", "pause the music", "next song", "skip this song", "what time is it",
    "what's the time", "what's the weather", "remind me to", "add to my shopping list",
    "turn up the volume", "turn down the volume", "turn on", "turn off", "open the door",
    "close the door", "mm-hmm", "mm", "uh-huh", "hmm", "oh", "wow", "aha", "huh", "yeah", "right", "sure",
    "i see", "got it",
)  # fmt: skip
"""What is often said to an assistant in a few words: commands, stop words, answers, backchannels."""

_SPACE = "\u2581"
_UNKNOWN = 1 << 30


@dataclass
class Node:
    """Where some tokens have led; `ends` where they spell a phrase."""

    children: dict[int, "Node"] = field(default_factory=dict)
    ends: bool = False


class Phrases:
    """The phrases of a list, each with and without a capital at its beginning; see `asr.biasing`."""

    def __init__(self, phrases: Sequence[str], vocabulary: Sequence[bytes], bonus: float) -> None:
        """`bonus`, in nats, is what a reading gains by each phrase in it."""
        self.root, self.bonus = Node(), bonus
        encode = _Encoder(vocabulary)
        for phrase in phrases:
            text = " ".join(phrase.split())
            for spelling in {text, text[:1].upper() + text[1:], text[:1].lower() + text[1:]}:
                if tokens := encode(spelling):
                    self._add(tokens)
        self.watched: NDArray[np.int64] = np.array(sorted(_tokens(self.root)), np.int64)
        self.column = {int(token): at for at, token in enumerate(self.watched)}
        self.watched = np.concatenate([self.watched, Marks(vocabulary).watched])
        self._vocabulary = vocabulary

    def count(self, tokens: Sequence[int]) -> int:
        """How many phrases `tokens` hold, of whole words, the longest at each place."""
        found = at = 0
        while at < len(tokens):
            length = self._longest(tokens, at) if self.begins_word(tokens[at]) else 0
            found, at = found + bool(length), at + max(1, length)
        return found

    def letters(self, tokens: Sequence[int]) -> int:
        """How many letters and digits spell `tokens`."""
        spelled = b"".join(self._vocabulary[token] for token in tokens)
        return sum(map(str.isalnum, spelled.decode(errors="ignore")))

    def begins_word(self, token: int) -> bool:
        """Whether a word begins with `token`."""
        return self._vocabulary[token].startswith(_SPACE.encode())

    def ends_word(self, following: int) -> bool:
        """Whether the word before the token `following` is over: letters may go on with it."""
        return not self._vocabulary[following][:1].isalnum()

    def _longest(self, tokens: Sequence[int], at: int) -> int:
        node, longest = self.root, 0
        for length, token in enumerate(tokens[at:], 1):
            if token not in node.children:
                break
            node, end = node.children[token], at + length
            if node.ends and self._stands(tokens, at, end):
                longest = length
        return longest

    def _stands(self, tokens: Sequence[int], at: int, end: int) -> bool:
        """Whether a phrase may be `tokens` from `at` to `end`.

        One of a single word only as a sentence of its own, or its first word before a mark: else "no" makes
        "No body" of "Nobody", and "wait" makes "Call me wait" of "Call me wife".
        """
        if sum(map(self.begins_word, tokens[at:end])) == 1:
            if at and self._vocabulary[tokens[at - 1]][-1:] not in (b".", b"!", b"?"):
                return False
            return end == len(tokens) or (self.ends_word(tokens[end]) and not self.begins_word(tokens[end]))
        return end == len(tokens) or self.ends_word(tokens[end])

    def _add(self, tokens: Sequence[int]) -> None:
        node = self.root
        for token in tokens:
            node = node.children.setdefault(token, Node())
        node.ends = True


class _Encoder:
    """Byte-pair encoding in the order of ids, as pieces were learned; bytes of a fallback have lower ones."""

    def __init__(self, vocabulary: Sequence[bytes]) -> None:
        self._ids = {piece: token for token, piece in enumerate(vocabulary)}

    def __call__(self, text: str) -> list[int]:
        """The tokens of `text` as words of their own; none where the vocabulary lacks a character."""
        parts = [char.encode() for char in f"{_SPACE}{text.replace(' ', _SPACE)}"]
        while len(parts) > 1:
            merged = [a + b for a, b in pairwise(parts)]
            best = min(range(len(merged)), key=lambda at: self._ids.get(merged[at], _UNKNOWN))
            if merged[best] not in self._ids:
                break
            parts[best : best + 2] = [merged[best]]
        return [self._ids[part] for part in parts] if text and all(p in self._ids for p in parts) else []


def _tokens(node: Node) -> Iterator[int]:
    for token, child in node.children.items():
        yield token
        yield from _tokens(child)
