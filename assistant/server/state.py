"""What the protocol knows of one connection, and what a step of it asks for. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from assistant.server.formats import AudioFormat
from assistant.server.settings import Limits, Object, Settings
from assistant.server.wire import WireError
from assistant.session.conversation import Item, ToolCall
from assistant.session.request import ReplyRequest


@dataclass(frozen=True)
class Entry:
    """An item, and how the client knows it."""

    item: Item
    announced: bool = True
    spoken: bool = False  # a reply with a voice
    sent_ms: int = 0  # of its audio
    gone: bool = False  # from the conversation that the model reads; the client may still name it
    aside: bool = False  # of a response outside the conversation, where it stands behind nothing


@dataclass(frozen=True)
class Response:
    """A response. One that the client asked for is pending until its reply begins."""

    id: str
    settings: Settings
    client_event: str | None = None
    metadata: Mapping[str, str] | None = None
    in_conversation: bool = True
    number: int | None = None  # of the reply, None while it is pending
    item: str = ""
    opened: bool = False  # the client was told of the item
    text: str = ""
    sent_bytes: int = 0
    output: tuple[Object, ...] = ()
    calls: tuple[ToolCall, ...] = ()  # that the client was not told of
    failure: str | None = None
    cancelled: bool = False  # by the client

    @property
    def audio_format(self) -> AudioFormat:
        """How its audio is encoded."""
        return self.settings.output_format


@dataclass(frozen=True)
class Speech:
    """A turn of the user that the client was told of."""

    item: str
    start_ms: int


@dataclass(frozen=True)
class State:
    """One connection."""

    name: str
    """Stands in all ids that are made here."""
    session: Object
    settings: Settings
    limits: Limits
    can_call: bool
    """Whether the model knows functions."""
    items: Mapping[str, Entry] = field(default_factory=dict)
    pending: Response | None = None
    response: Response | None = None
    speech: Speech | None = None
    heard_ms: Mapping[str, int] = field(default_factory=dict)
    """How long the turns that are not transcribed yet have lasted."""
    buffered_bytes: int = 0
    """Of audio since the last turn, or since the client took it back."""
    failed: tuple[int, str] | None = None
    """The reply, by its number, that failed last before the client knew of it, and why."""
    numbers: int = 0

    @property
    def quiet(self) -> bool:
        """No response is being made, or asked for."""
        return self.pending is None and self.response is None


# Commands


@dataclass(frozen=True)
class Append:
    """More of the client's audio."""

    data: bytes


@dataclass(frozen=True)
class Commit:
    """The audio in the buffer is a turn."""


@dataclass(frozen=True)
class Clear:
    """The audio in the buffer is none."""


@dataclass(frozen=True)
class Request:
    """Make a reply."""

    request: ReplyRequest


@dataclass(frozen=True)
class Cancel:
    """Stop the reply."""


@dataclass(frozen=True)
class AddItem:
    """Put `item` into the conversation, as Conversation.add does."""

    item: Item
    after: str | None


@dataclass(frozen=True)
class RemoveItem:
    """Take an item out."""

    id: str


@dataclass(frozen=True)
class Truncate:
    """Keep of a reply what was heard in `ms`."""

    id: str
    ms: int


@dataclass(frozen=True)
class Configure:
    """From now on the session works by these."""

    settings: Settings


Command = Append | Commit | Clear | Request | Cancel | AddItem | RemoveItem | Truncate | Configure


class Step:
    """A step while it is made: the state, and what is to be sent and done."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Object] = []
        self.commands: list[Command] = []

    def change(self, **values: Any) -> None:  # noqa: ANN401  # the fields of State
        """Another state, with these values."""
        self.state = replace(self.state, **values)

    def new_id(self, kind: str) -> str:
        """An id that this connection has not used."""
        self.change(numbers=self.state.numbers + 1)
        return f"{kind}_{self.state.name}_{self.state.numbers}"

    def send(self, kind: str, **values: Any) -> None:  # noqa: ANN401  # any JSON
        """Send an event to the client."""
        self.events.append({"type": kind, "event_id": self.new_id("event"), **values})

    def do(self, *commands: Command) -> None:
        """Have the session do something."""
        self.commands += commands

    def refuse(self, error: WireError) -> None:
        """Tell the client that one of its events cannot be taken."""
        details = {"type": error.type, "code": error.code, "message": error.message}
        self.send("error", error={**details, "param": error.param, "event_id": error.event_id})

    def put(self, entry: Entry, after: str | None = None, *, at_end: bool = True) -> None:
        """Keep `entry` behind the item `after`, at the end, or, for None, in front."""
        items = dict(self.state.items)
        if entry.item.id in items or at_end:
            self.change(items={**items, entry.item.id: entry})
            return
        order = list(items)
        at = order.index(after) + 1 if after in items else 0
        order[at:at] = [entry.item.id]
        items[entry.item.id] = entry
        self.change(items={name: items[name] for name in order})

    def previous(self, item_id: str) -> str | None:
        """The item before this one, of those of the conversation that the client knows."""
        before: str | None = None
        for name, entry in self.state.items.items():
            if name == item_id:
                break
            if entry.announced and not entry.aside:
                before = name
        return before


Outcome = tuple[State, Sequence[Object], Sequence[Command]]
