"""What a scenario can ask of any client, and what it hears of it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

INSTRUCTIONS = "You are a helpful assistant."


class NotApplicable(Exception):  # noqa: N818  # no error: the client has no such thing
    """The client cannot do this; the message says why."""


@dataclass(frozen=True)
class Options:
    """What a scenario asks of its session, beyond a client's own defaults."""

    text_only: bool = False
    manual: bool = False  # no turn detection
    weather: bool = False  # declares get_weather
    pcmu: bool = False  # G.711 mu-law both ways


@dataclass
class Reply:
    """What came of one response; `audio` as the session's format has it."""

    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    status: str = ""


@dataclass(frozen=True)
class Refusal:
    """An error of the server, as the client shows it."""

    code: str | None
    event_id: str | None


@dataclass
class Heard:
    """What the client has reported. `complaints` are the client's own: an event that it could not take."""

    transcripts: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    replies: asyncio.Queue[Reply] = field(default_factory=asyncio.Queue)
    refusals: asyncio.Queue[Refusal] = field(default_factory=asyncio.Queue)
    truncations: asyncio.Queue[int] = field(default_factory=asyncio.Queue)  # milliseconds
    current: Reply = field(default_factory=Reply)
    audible: asyncio.Event = field(default_factory=asyncio.Event)  # the present reply has begun to sound
    complaints: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)  # what came, by its name

    def saw(self, name: str) -> None:
        """Note that something came; what repeats itself is noted once."""
        if not self.seen or self.seen[-1] != name:
            self.seen.append(name)

    def sound(self, audio: bytes) -> None:
        """Take audio of the reply."""
        self.current.audio += audio
        self.audible.set()

    def finish(self, status: str) -> None:
        """The reply is over."""
        self.current.status = status
        self.replies.put_nowait(self.current)
        self.current = Reply()
        self.audible.clear()


class Session(ABC):
    """A connected client. What a client cannot do raises NotApplicable."""

    # Events that a server must refuse, each by the text or the fields in which the client lets one send it.
    malformed: tuple[str | dict[str, object], ...] = ()
    why_no_malformed = "the client gives no way to send a raw event"

    def __init__(self) -> None:
        self.heard = Heard()

    @abstractmethod
    async def ask(self, text: str) -> None:
        """Type something and want a reply."""

    @abstractmethod
    async def push(self, audio: bytes) -> None:
        """Send audio of the microphone."""

    @abstractmethod
    async def commit(self) -> None:
        """End the turn by hand, and want a reply."""

    @abstractmethod
    async def cancel(self) -> Refusal | None:
        """Cancel a response that is not there; what the client shows of the refusal, if anything."""

    @abstractmethod
    async def send_raw(self, event: str | dict[str, object]) -> None:
        """Send an event of `malformed`."""

    @abstractmethod
    async def create(self, item_id: str, text: str) -> None:
        """Put a user's message into the conversation, and wait until it is there."""

    @abstractmethod
    async def retrieve(self, item_id: str) -> str | None:
        """The text of a message as the server has it; None if it has none by that id."""

    @abstractmethod
    async def delete(self, item_id: str) -> None:
        """Delete an item, and wait until it is gone."""

    async def truncated(self) -> None:
        """Wait until the server has truncated a reply that had sounded for about two seconds."""
        if not 1000 <= (ms := await self.heard.truncations.get()) <= 10_000:
            raise AssertionError(f"truncated at {ms} ms")


@dataclass(frozen=True)
class Setup:
    """Where the server is, and the folder of the clips."""

    url: str
    clips: Path
    key: str = "sk-conformance"

    def clip(self, name: str) -> bytes:
        """Raw samples."""
        return (self.clips / name).read_bytes()


Connect = Callable[[Setup, Options], AbstractAsyncContextManager[Session]]
Scenario = Callable[[Setup, Connect], Awaitable[None]]
