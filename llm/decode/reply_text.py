"""What a reply says, and what it calls: its text up to a stop string, with the calls taken out."""

from collections.abc import Collection

from llm.text.message import Call
from llm.text.stop import StopStrings
from llm.text.tool_calls import ToolCalls

Piece = tuple[str, list[Call]]
"""Text to pass on, and the calls that were complete with it."""


class ReplyText:
    """Feed it text; it returns what is certain to be of the reply. Stop strings are looked for in text only.

    Without tools text passes as `StopStrings` lets it, and a call is text.
    """

    def __init__(self, stop: tuple[str, ...], tools: Collection[str] = ()) -> None:
        """`tools` are the names of the functions that may be called."""
        self._stops, self._calls = StopStrings(stop), ToolCalls(tools) if tools else None
        self.called = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was found: the reply is over."""
        return self._stops.found

    def push(self, text: str) -> Piece:
        """Take the next text."""
        if self._calls is None:
            return self._stops.push(text), []
        plain, calls = self._calls.push(text)
        self.called |= bool(calls)
        return self._stops.push(plain), calls

    def flush(self) -> Piece:
        """The end of the reply: what was held back."""
        plain, calls = self._calls.flush() if self._calls else ("", [])
        self.called |= bool(calls)
        return self._stops.push(plain) + self._stops.flush(), calls
