"""What a client of the Realtime API knows of a conversation, and what it does next. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from assistant.session.events import ReplyDiscarded, SessionEvent

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Reply:
    """A response of the server's, until it is over there and has sounded here."""

    id: str
    number: int
    questions: tuple[str, ...] = ()
    """The user's items that it answers."""
    withdrawn: bool = False
    """Its question was taken back: the user went on, and the next has the whole."""
    item: str = ""
    """Of its audio; empty before the first of it."""
    text: str = ""
    audio_ms: float = 0.0
    """How much audio has come."""
    complete: bool = False
    """All text and audio that will ever come is there."""
    done: bool = False
    """The server is done with it."""
    silent: bool = False
    """Nothing more of it will sound."""
    interrupted: bool = False
    heard: str | None = None
    """What the server says was heard; None of one that was not interrupted, or before the server says so."""
    settled: bool = True
    """Whether the server owes no answer about what was heard."""
    heard_ms: int = 0
    """How much of one that was interrupted has sounded."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether all is known of it."""
        return self.done and self.silent and self.settled


@dataclass(frozen=True)
class State:
    """Of one connection."""

    ready: bool = False
    """The server has taken our settings."""
    resumable: str = ""
    """The session's id, where a later connection can go on with its conversation."""
    resumed: bool = False
    """The server goes on with the conversation of the connection before."""
    cut: Mapping[str, int] = field(default_factory=dict)
    """Items of replies that the loss of the connection before cut off, and how many ms of each were heard."""
    asked: tuple[str, ...] = ()
    """What the user said and no reply has answered, by item."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Transcripts, by item."""
    ended_ms: Mapping[str, int] = field(default_factory=dict)
    """Where in the audio sent the user's items ended."""
    committed_ms: int = 0
    """Where the user last gave the floor back by a key."""
    replies: Mapping[str, Reply] = field(default_factory=dict)
    """Those that are not over yet, by id."""
    numbers: int = 0
    """How many replies there were."""


@dataclass(frozen=True)
class Play:
    """Bytes of a reply's audio, to sound behind those before them."""

    reply: str
    data: bytes


@dataclass(frozen=True)
class EndOfAudio:
    """No more comes of a reply; once it has all sounded, `played` is to be told."""

    reply: str


@dataclass(frozen=True)
class Hush:
    """Silence; `hushed` is to be told how much was heard of everything that was to sound."""


@dataclass(frozen=True)
class Show:
    """What has happened, in the words of a session."""

    event: SessionEvent


@dataclass(frozen=True)
class Say:
    """A line for the user."""

    line: str


@dataclass(frozen=True)
class Fail:
    """Something of the server's failed, and the conversation goes on."""

    what: str
    why: str


@dataclass(frozen=True)
class Over:
    """All is known of a reply and the turn that it answers."""

    reply: Reply
    transcript: str
    ended_ms: int | None
    """Where in the audio sent the last voiced sample is, as the server states it."""


Command = Play | EndOfAudio | Hush | Show | Say | Fail | Over
Outcome = tuple[State, tuple[Event, ...], tuple[Command, ...]]
"""The next state, events for the server, and what is to be done here."""


class Step:
    """One step from a state to the next, while it is taken."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Event] = []
        self.commands: list[Command] = []

    def change(self, **fields: Any) -> None:  # noqa: ANN401  # of State
        """Other values of the state's fields."""
        self.state = replace(self.state, **fields)

    def update(self, reply: Reply) -> None:
        """A reply is new, or has changed; that all is known of it is told once."""
        self.change(replies={**self.state.replies, reply.id: reply})
        if reply.over:
            self._end(reply)

    def interrupt(self) -> None:
        """Nobody listens any more to what sounds, or is about to."""
        loud = [reply for reply in self.state.replies.values() if reply.item and not reply.silent]
        for reply in self.state.replies.values():
            self.update(replace(reply, interrupted=reply.interrupted or not reply.silent))
        if loud:
            self.do(Hush())

    def _end(self, reply: Reply) -> None:
        state, over = self.state, set(reply.questions)
        ended = [state.ended_ms[name] for name in reply.questions if name in state.ended_ms]
        said = [state.words[name] for name in reply.questions if state.words.get(name)]
        self.change(
            replies={name: other for name, other in state.replies.items() if name != reply.id},
            words={name: text for name, text in state.words.items() if name not in over},
            ended_ms={name: ms for name, ms in state.ended_ms.items() if name not in over},
        )
        if reply.number == state.numbers - 1:
            self.do(Show(ReplyDiscarded(reply.number)))
        if not reply.withdrawn:
            self.do(Over(reply, " ".join(said), ended[-1] if ended else None))

    def send(self, kind: str, **fields: object) -> None:
        """An event for the server."""
        self.events.append({"type": kind, **fields})

    def do(self, command: Command) -> None:
        """Something to be done here."""
        self.commands.append(command)

    def outcome(self) -> Outcome:
        """What the step came to."""
        return self.state, tuple(self.events), tuple(self.commands)
