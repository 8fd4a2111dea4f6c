"""What happens in a session, for whoever listens: a terminal, a server, a recorder."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from asr.stabilize import Partial
from assistant.session.conversation import Change, ToolCall
from assistant.session.parts import Boundaries
from assistant.session.request import ReplyRequest
from assistant.session.stages import Plan
from tts.stream import SpeechChunk

_CAPACITY = 1024


@dataclass(frozen=True)
class SpeechStarted:
    """The user began to speak at this sample of the session's audio; the turn will be the item `item`."""

    sample: int
    item: str


@dataclass(frozen=True)
class SpeechStopped:
    """The user's turn is over, or came to nothing; its last voiced sample."""

    sample: int
    item: str


@dataclass(frozen=True)
class ReplyStarted:
    """A reply was released; it will be the item `item`. None asked for one that answers a turn."""

    number: int
    item: str
    request: ReplyRequest | None = None


@dataclass(frozen=True)
class TextDelta:
    """More text of a released reply."""

    number: int
    text: str


@dataclass(frozen=True)
class AudioDelta:
    """A chunk of a released reply was given to the sink."""

    number: int
    chunk: SpeechChunk


@dataclass(frozen=True)
class ReplyCalled:
    """The model wants a function called, behind what the reply says."""

    number: int
    call: ToolCall


@dataclass(frozen=True)
class ReplyRefused:
    """No reply is made for this request: there is one already, or it was stopped before it began."""

    request: ReplyRequest


@dataclass(frozen=True)
class ReplyDropped:
    """The reply to this request was stopped before it was begun."""

    request: ReplyRequest


@dataclass(frozen=True)
class ReplyDone:
    """A released reply is over. `reply` is what was generated, `heard` what of it was played."""

    number: int
    transcript: str
    reply: str
    heard: str
    voice_end_ns: int  # the VAD's estimate
    decided_ns: int
    boundaries: Boundaries | None
    interrupted: bool
    reopened: bool  # the user went on before it was heard, or much of it: the next turn contains this one
    underruns: int
    reason: str = ""
    """Why the model came to an end, if it did; see `llm.decode.generate.Finished`."""
    prompt_tokens: int = 0
    tokens: int = 0
    generating_s: float = 0.0
    """From the first token to the last."""
    sounded: bool = False
    """Whether anything audible of it sounded before it was over."""
    plan: Plan | None = None
    """What a skill understood, if one answered."""


@dataclass(frozen=True)
class ReplyHeld:
    """A reply fell silent for the user, who speaks; it goes on, or is over."""

    number: int


@dataclass(frozen=True)
class ReplyContinued:
    """A reply that was held goes on where it was: the user wanted to hear it."""

    number: int


@dataclass(frozen=True)
class ReplyDiscarded:
    """A released reply was dropped: in its turn nothing had been said."""

    number: int


@dataclass(frozen=True)
class Failed:
    """A model failed in `stage`; what it was for is lost, and the session goes on."""

    stage: str
    why: str
    number: int | None = None


SessionEvent = (
    SpeechStarted
    | SpeechStopped
    | Partial
    | Change
    | ReplyStarted
    | TextDelta
    | AudioDelta
    | ReplyCalled
    | ReplyRefused
    | ReplyDropped
    | ReplyHeld
    | ReplyContinued
    | ReplyDone
    | ReplyDiscarded
    | Failed
)


class ListenerLagged(RuntimeError):  # noqa: N818  # a condition with a name of its own
    """A listener left so many events unread that it was let go: a session never waits for one."""


class Listener:
    """The events of a session since it was subscribed to; iterate it, or `drain` it now and then."""

    def __init__(self, more: int = 0) -> None:
        """One that may leave so many `more` events unread than others."""
        self._more = more
        self._events: deque[SessionEvent] = deque()
        self._changed = asyncio.Event()
        self._closed = self.lagged = False

    def push(self, event: SessionEvent) -> None:
        """Add `event`, unless the listener is too far behind."""
        self.lagged = self.lagged or len(self._events) >= _CAPACITY + self._more
        if not self.lagged:
            self._events.append(event)
        self._changed.set()

    def close(self) -> None:
        """The session is over."""
        self._closed = True
        self._changed.set()

    def drain(self) -> list[SessionEvent]:
        """All unread events; raises ListenerLagged once those before the gap were read."""
        self._check()
        events = list(self._events)
        self._events.clear()
        return events

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        while True:
            while self._events:  # one at a time: who leaves the loop leaves the rest unread
                yield self._events.popleft()
            self._check()
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()

    def _check(self) -> None:
        if self.lagged and not self._events:
            raise ListenerLagged(f"{_CAPACITY + self._more} events were left unread")
