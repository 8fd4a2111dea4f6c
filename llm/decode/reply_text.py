"""What a reply says, and what it calls: its text on one line, without the calls."""

from collections.abc import Collection

from llm.text.lines import SpokenLines
from llm.text.message import Call
from llm.text.stop import StopStrings
from llm.text.tool_calls import ToolCalls

Piece = tuple[str, list[Call]]
"""Text to pass on, and the calls that were complete with it."""


class ReplyText:
    """Feed it text; it returns what is certain to be of the reply. Stop strings are looked for in text only.

    Without tools a call is text. Lines become sentences on one line, and enough of them are a reply: see
    `llm.text.lines`.
    """

    def __init__(self, stop: tuple[str, ...], tools: Collection[str] = (), enough_chars: int = 0) -> None:
        """`tools` are the names of the functions that may be called."""
        self._stops, self._calls = StopStrings(stop), ToolCalls(tools) if tools else None
        self._lines = SpokenLines(enough_chars)
        self.called = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found, or enough was said: the reply is over."""
        return self._stops.found or self._lines.ended

    def push(self, text: str) -> Piece:
        """Take the next text."""
        if self._calls is None:
            return self._lines.push(self._stops.push(text)), []
        plain, calls = self._calls.push(text)
        self.called |= bool(calls)
        return self._lines.push(self._stops.push(plain)), calls

    def flush(self) -> Piece:
        """The end of the reply: what was held back."""
        plain, calls = self._calls.flush() if self._calls else ("", [])
        self.called |= bool(calls)
        rest = self._lines.push(self._stops.push(plain) + self._stops.flush())
        return rest + self._lines.flush(), calls
