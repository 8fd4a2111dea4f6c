"""What of a conversation outlives its connection, as JSON: settings, and items without audio. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, TypeAdapter, ValidationError

from assistant.server.settings import Object
from assistant.server.state import Entry, State
from assistant.session.conversation import (
    AssistantItem,
    Item,
    SystemItem,
    ToolCall,
    ToolOutput,
    UserItem,
)

_FIXED = ("type", "object", "id", "expires_at", "model")  # of the session, or of the server it is on
_KINDS: Mapping[type, str] = {
    UserItem: "user",
    SystemItem: "system",
    AssistantItem: "assistant",
    ToolCall: "call",
    ToolOutput: "output",
}


class UnreadableError(ValueError):
    """What the store has is no conversation, or one of another version."""


@dataclass(frozen=True)
class Kept:
    """A conversation without its connection."""

    settings: Object
    """What the client has set of the session's object, to be merged into a new one."""
    entries: tuple[Entry, ...] = ()


def _kind(item: Any) -> str | None:  # noqa: ANN401  # any JSON
    return item.get("kind") if isinstance(item, dict) else None


_StoredItem = Annotated[
    Annotated[UserItem, Tag("user")]
    | Annotated[SystemItem, Tag("system")]
    | Annotated[AssistantItem, Tag("assistant")]
    | Annotated[ToolCall, Tag("call")]
    | Annotated[ToolOutput, Tag("output")],
    Discriminator(_kind),
]


@dataclass(frozen=True)
class _StoredEntry:
    item: _StoredItem
    voiced: bool = False
    sent_ms: int = 0


@dataclass(frozen=True)
class _Stored:
    form: Literal[1]
    settings: dict[str, Any]
    entries: tuple[_StoredEntry, ...]


_STORED = TypeAdapter(_Stored)
_json = json.JSONEncoder(separators=(",", ":"), default=vars).encode
"""ASCII, so that its characters are its bytes; dataclasses are objects."""


def read_kept(text: str | bytes) -> Kept:
    """What a Writer wrote; raises UnreadableError."""
    try:
        stored = _STORED.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise UnreadableError(f"{place}: {first['msg']}") from None
    entries = tuple(Entry(each.item, spoken=each.voiced, sent_ms=each.sent_ms) for each in stored.entries)
    if len({entry.item.id for entry in entries}) < len(entries):
        raise UnreadableError("two items have one id")
    return Kept(stored.settings, entries)


class Writer:
    """Writes states of one connection, each item once until it changes."""

    def __init__(self, first: Object, most_bytes: int) -> None:
        """`first` is the session's object before the client, or what is resumed, has changed it."""
        self._first, self._most = first, most_bytes
        self._written: dict[str, tuple[Entry, bool, str]] = {}

    def write(self, state: State) -> str | None:
        """The conversation in at most so many bytes, without the oldest items if need be.

        None if what the client has set takes more than that by itself.
        """
        written = {
            name: self._entry(name, entry, sounds=name == sounding(state))
            for name, entry in state.items.items()
            if _lasts(entry)
        }
        self._written = written
        head = f'{{"form":1,"settings":{_json(changed(state.session, self._first))},"entries":['
        left = self._most - len(head) - len("]}")
        kept: list[str] = []
        for *_, text in reversed(written.values()):
            left -= len(text) + len(",")
            if left < 0:
                break
            kept.append(text)
        if self._most < len(head) + len("]}"):
            return None
        return f"{head}{','.join(reversed(kept))}]}}"

    def _entry(self, name: str, entry: Entry, *, sounds: bool) -> tuple[Entry, bool, str]:
        before = self._written.get(name)
        if before is not None and before[0] is entry and before[1] == sounds:
            return before
        item = _item(entry.item, entry.sent_ms if sounds else 0)
        return entry, sounds, _json({"item": item, "voiced": entry.spoken, "sent_ms": entry.sent_ms})


def same(before: State, after: State) -> bool:
    """Whether nothing has changed of what is kept."""
    items, session = after.items is before.items, after.session is before.session
    return items and session and sounding(after) == sounding(before)


def sounding(state: State) -> str | None:
    """The item of the reply that is being made."""
    return state.response.item if state.response else None


def changed(session: Object, first: Object) -> dict[str, Any]:
    """What of the session's object is not as it was at first; merged into that it gives the same object."""
    different: dict[str, Any] = {}
    for key, value in session.items():
        usual = first.get(key)
        if key in ("audio", "input", "output") and isinstance(value, dict) and isinstance(usual, dict):
            inside = changed(value, usual)
            different |= {key: inside} if inside else {}
        elif key not in _FIXED and (key not in first or value != usual):
            different[key] = value
    return different


def _lasts(entry: Entry) -> bool:
    """Whether an item is in the conversation, and known to the client, and its words are known."""
    known = entry.announced and not entry.gone and not entry.aside
    return known and not (isinstance(entry.item, UserItem) and not entry.item.complete)


def _item(item: Item, sent_ms: int) -> dict[str, Any]:
    """Of a reply that still sounds, what was sent counts until the client says what it heard."""
    if isinstance(item, AssistantItem):  # the cut is made: JSON has no infinity
        item = replace(item, heard_ms=min(max(item.heard_ms, sent_ms), item.cut_ms), cut_ms=inf)
    fields = {key: value for key, value in vars(item).items() if key != "cut_ms"}
    return {"kind": _KINDS[type(item)], **fields}
