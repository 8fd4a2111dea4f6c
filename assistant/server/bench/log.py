"""What one client was sent, and when it came by the client's clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Event = Mapping[str, Any]


class Received(NamedTuple):
    """One event and when it came."""

    at_ns: int
    event: Event


@dataclass
class Log:
    """Events in the order in which they came, and whether a reply is under way or due."""

    received: list[Received]
    start_ns: int = 0
    """When the first sample of the clip was spoken."""
    broken: str = ""
    """Why the connection ended, if the client did not end it, or what was waited for in vain."""
    _open: int = 0
    _done: int = 0
    _due: bool = False

    @property
    def answered(self) -> bool:
        """Whether there was a reply, it is over, and none is due."""
        return self._done > 0 and self._open == 0 and not self._due

    @property
    def replying(self) -> bool:
        """Whether a reply is under way."""
        return self._open > 0

    @property
    def last_ns(self) -> int:
        """When the last event came."""
        return self.received[-1].at_ns if self.received else self.start_ns

    def take(self, at_ns: int, event: Event) -> None:
        """Note an event."""
        self.received.append(Received(at_ns, event))
        match event.get("type"):
            case "input_audio_buffer.speech_started" | "input_audio_buffer.committed":
                self._due = True
            case "conversation.item.deleted":  # there was nothing in it
                self._due = False
            case "response.created":
                self._open, self._due = self._open + 1, False
            case "response.done":
                self._open, self._done = self._open - 1, self._done + 1
