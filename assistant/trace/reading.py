"""How much of a prompt a language model has still to read: what it read last, it remembers."""

from collections.abc import Sequence
from itertools import takewhile

from llm.decode.responder import Prompt, asked
from llm.text.message import Message


def _written(messages: Sequence[Message]) -> str:
    return "".join(f"\n{message.role}: {message.content}" for message in messages)


class Reading:
    """What is in the cache of one session's sequence, in characters: tokens are not known of all of it."""

    def __init__(self) -> None:
        self._read = ""

    def ahead(self, history: Sequence[Message], words: str) -> int:
        """A prompt is read up to the user's `words`; the characters of it that are new."""
        return self._take(_written(asked(history, words)))

    def prompt(self, prompt: Prompt) -> int:
        """A prompt is read; the characters of it that are new."""
        return self._take(_written(prompt.history))

    def reply(self, text: str) -> None:
        """A reply to the prompt that was read last was written as far as `text`."""
        self._read += f"\nassistant: {text}"

    def _take(self, text: str) -> int:
        known = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._read, text, strict=False))
        )
        self._read = text
        return len(text) - known
