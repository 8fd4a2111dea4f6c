"""Calls in a stream of chat completion chunks: pieces, put together by their index."""

import json
from collections.abc import Collection
from dataclasses import dataclass

from llm.decode.generate import Called
from llm.remote.sse import MalformedEvent
from llm.text.message import read_object
from llm.text.tool_calls import new_call_id

_MAX_ID_CHARS = 32  # clients of the Realtime API send longer ones back as something else


@dataclass(frozen=True)
class CallDelta:
    """A piece of the call `index`: its id and name come once, usually first, its arguments bit by bit."""

    index: int
    call_id: str
    name: str
    arguments: str


def read_calls(value: object) -> tuple[CallDelta, ...]:
    """The pieces in a chunk's `tool_calls`; raises MalformedEvent."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise MalformedEvent("sent calls that are no list")
    return tuple(_read_call(item, position) for position, item in enumerate(value))


def _read_call(item: object, position: int) -> CallDelta:
    """A server that sends calls whole may leave their index out: it is their position then."""
    if isinstance(item, dict) and isinstance(function := item.get("function") or {}, dict):
        index = position if item.get("index") is None else item["index"]
        call_id, name = item.get("id") or "", function.get("name") or ""
        arguments = function.get("arguments") or ""
        if isinstance(arguments, dict):  # as it should not be, and as some servers have it
            arguments = json.dumps(arguments, ensure_ascii=False)
        if type(index) is int and all(isinstance(part, str) for part in (call_id, name, arguments)):
            return CallDelta(index, call_id, name, arguments)
    raise MalformedEvent("sent a call that is none")


@dataclass
class _Pending:
    call_id: str = ""
    name: str = ""
    arguments: str = ""


class CallAssembler:
    """Takes pieces and gives whole calls, in the order in which they began."""

    def __init__(self, names: Collection[str]) -> None:
        """`names` are those of the functions that may be called; calls of others are left out."""
        self._names = frozenset(names)
        self._begun: list[_Pending] = []
        self._at: dict[int, _Pending] = {}

    def push(self, delta: CallDelta) -> None:
        """Take a piece. Another id at the same index is another call: not every server counts."""
        pending = self._at.get(delta.index)
        if pending is None or (pending.call_id and delta.call_id not in ("", pending.call_id)):
            pending = self._at[delta.index] = _Pending()
            self._begun.append(pending)
        pending.call_id = pending.call_id or delta.call_id
        pending.name = pending.name or delta.name
        pending.arguments += delta.arguments

    def take(self, *, whole: bool) -> list[Called]:
        """The calls so far; of a reply that is not `whole` the last may be cut off, and is left out then.

        Raises MalformedEvent for arguments that are no JSON object in one that is.
        """
        calls, self._begun, self._at = self._begun, [], {}
        declared = [call for call in calls if call.name in self._names]
        good = [call for call in declared if read_object(call.arguments.strip() or "{}") is not None]
        if whole and len(good) < len(declared):
            raise MalformedEvent("sent a call whose arguments are no JSON object")
        return [Called(_usable(call.call_id), call.name, call.arguments.strip() or "{}") for call in good]


def _usable(call_id: str) -> str:
    if 0 < len(call_id) <= _MAX_ID_CHARS and call_id.isascii() and call_id.isprintable():
        return call_id
    return new_call_id()
