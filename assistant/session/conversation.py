"""The conversation: items with ids, created as they happen, and what a language model reads of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, takewhile
from math import inf

from llm.text.message import Call, Message


@dataclass(frozen=True)
class UserItem:
    """What the user said or typed; `complete` once all of it is known."""

    id: str
    text: str
    complete: bool = True
    spoken: bool = False


@dataclass(frozen=True)
class SystemItem:
    """What the client tells the model in the course of the conversation."""

    id: str
    text: str


@dataclass(frozen=True)
class Spoken:
    """Words of a reply, and how many milliseconds of its audio have sounded when they are over."""

    text: str
    end_ms: float


@dataclass(frozen=True)
class AssistantItem:
    """A reply as far as it was given to the sink; `text` is what of it was heard."""

    id: str
    spoken: tuple[Spoken, ...] = ()
    heard_ms: float = 0.0
    complete: bool = False
    cut_ms: float = inf
    """Where a client truncated it: what is known to be heard may still grow, what counts may not."""

    @property
    def text(self) -> str:
        """The words that were over after `heard_ms` of audio."""
        until_ms = min(self.heard_ms, self.cut_ms)
        return "".join(words.text for words in self.spoken if words.end_ms <= until_ms).strip()


@dataclass(frozen=True)
class ToolCall:
    """A function that the model wants called; `arguments` is JSON."""

    id: str
    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class ToolOutput:
    """What a called function gave."""

    id: str
    call_id: str
    output: str


Item = UserItem | SystemItem | AssistantItem | ToolCall | ToolOutput


@dataclass(frozen=True)
class ItemAdded:
    """An item entered the conversation behind the item `after`, or at its beginning."""

    item: Item
    after: str | None


@dataclass(frozen=True)
class ItemChanged:
    """An item has grown, was completed or was truncated."""

    item: Item


@dataclass(frozen=True)
class ItemRemoved:
    """An item was taken out; `forgotten` if only because the model cannot remember so much."""

    id: str
    forgotten: bool = False


Change = ItemAdded | ItemChanged | ItemRemoved


class UnknownItem(KeyError):  # noqa: N818  # a condition with a name of its own
    """No item has this id."""


class NoAudio(ValueError):  # noqa: N818  # as above
    """An item without audio cannot be truncated."""


@dataclass
class Conversation:
    """Instructions and items, in order. Every change is told to `changed`."""

    instructions: str
    changed: Callable[[Change], None] = lambda _: None
    prefix: str = "item"
    """Of the ids that it gives; where clients bring ids of their own, one that theirs do not have."""
    forgotten: int = 0
    """Messages that were taken out because the model could not remember them."""
    _items: dict[str, Item] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _others: Mapping[str, Item] = field(default_factory=dict)  # of the conversation that it is aside of

    @property
    def items(self) -> Sequence[Item]:
        """All items, the oldest first."""
        return tuple(self._items.values())

    def __contains__(self, item_id: str) -> bool:
        return item_id in self._items

    def new_id(self) -> str:
        """An id that no item has."""
        while (name := f"{self.prefix}_{next(self._numbers)}") in self._items or name in self._others:
            pass
        return name

    def aside(self) -> "Conversation":
        """An empty one whose items have ids that none has here: for what does not enter this one."""
        return Conversation(
            self.instructions, prefix=self.prefix, _numbers=self._numbers, _others=self._items
        )

    def get(self, item_id: str) -> Item:
        """The item called `item_id`; raises UnknownItem."""
        if item_id not in self._items:
            raise UnknownItem(item_id)
        return self._items[item_id]

    def add(self, item: Item, after: str | None = None) -> None:
        """Put `item` behind the item `after`, by default at the end; "" is in front of all.

        Raises UnknownItem, and ValueError for an id that is taken.
        """
        if item.id in self._items:
            raise ValueError(f"an item {item.id!r} is there already")
        order = list(self._items)
        at = len(order)
        if after is not None:
            at = order.index(self.get(after).id) + 1 if after else 0
        behind = [self._items.pop(name) for name in order[at:]]
        self._items[item.id] = item
        self._items.update((other.id, other) for other in behind)
        self.changed(ItemAdded(item, order[at - 1] if at else None))

    def replace(self, item: Item) -> None:
        """Put `item` in the place of the one with its id; raises UnknownItem."""
        if self.get(item.id) != item:
            self._items[item.id] = item
            self.changed(ItemChanged(item))

    def remove(self, item_id: str) -> None:
        """Take an item out; raises UnknownItem."""
        self._remove(item_id, forgotten=False)

    def _remove(self, item_id: str, *, forgotten: bool) -> None:
        self.get(item_id)
        del self._items[item_id]
        self.changed(ItemRemoved(item_id, forgotten))

    def truncate(self, item_id: str, audio_ms: float) -> None:
        """Keep of a reply what was heard in its first `audio_ms`.

        Raises UnknownItem, and NoAudio for an item that is no reply.
        """
        item = self.get(item_id)
        if not isinstance(item, AssistantItem):
            raise NoAudio(f"{item_id!r} is no reply, and has no audio to cut")
        if audio_ms < min(item.heard_ms, item.cut_ms):
            self.replace(replace(item, cut_ms=max(0.0, audio_ms)))

    def forget(self, messages: int) -> None:
        """Take out the oldest items until so many messages are gone; what joined the instructions stays."""
        for item in self.items[_told_first(self.items) :]:
            if messages <= 0:
                return
            if _message(item) is not None:
                messages -= 1
                self.forgotten += 1
            self._remove(item.id, forgotten=True)

    def messages(self) -> tuple[Message, ...]:
        """What the language model reads: the instructions, then what was said, heard and called."""
        return messages(self.instructions, self.items)


def messages(instructions: str, items: Sequence[Item]) -> tuple[Message, ...]:
    """What a language model reads of `items`.

    What the client told it before all else joins the instructions. What it tells it later stays in its place:
    a client may want it answered, and the KV cache holds what stands before it.
    """
    first = _told_first(items)
    told = [instructions, *(item.text for item in items[:first] if isinstance(item, SystemItem))]
    system = Message("system", "\n".join(text for text in told if text))
    return (system, *(message for item in items[first:] if (message := _message(item)) is not None))


def _told_first(items: Sequence[Item]) -> int:
    """How many system items stand before all others."""
    return sum(1 for _ in takewhile(lambda item: isinstance(item, SystemItem), items))


def _message(item: Item) -> Message | None:
    """An item as a language model reads it; None if nothing is in it."""
    match item:
        case UserItem(text=text):
            return Message("user", text) if text else None
        case SystemItem(text=text):
            return Message("system", text) if text else None
        case AssistantItem():
            return Message("assistant", item.text) if item.text else None
        case ToolCall(call_id=call_id, name=name, arguments=arguments):
            return Message("assistant", "", calls=(Call(call_id, name, arguments),))
        case ToolOutput(call_id=call_id, output=output):
            return Message("tool", output, call_id=call_id)
