"""Items of a conversation in the protocol's form, and back."""

from collections.abc import Callable, Mapping
from typing import Any

from assistant.server.fields import Fields
from assistant.session.conversation import (
    AssistantItem,
    Item,
    Spoken,
    SystemItem,
    ToolCall,
    ToolOutput,
    UserItem,
)

_ID = 128  # characters
_PARTS = 64
_STATUS = ("completed", "incomplete", "in_progress")


def read_item(wanted: Fields, new_id: Callable[[], str], limit: int) -> Item:
    """The item that a client describes, its texts of at most `limit` characters; raises WireError.

    It keeps the client's id, or else gets `new_id()`.
    """
    kind = wanted.choice("type", ("message", "function_call", "function_call_output"))
    wanted.choice("status", _STATUS, default=None, null=None)
    name = wanted.text("id", limit=_ID, default="", null="") or new_id()
    if kind == "function_call":
        call_id = wanted.text("call_id", limit=_ID, default="", null="") or name[:32]
        arguments = wanted.text("arguments", limit=limit)
        return ToolCall(name, call_id, wanted.text("name", limit=_ID), arguments)
    if kind == "function_call_output":
        return ToolOutput(name, wanted.text("call_id", limit=_ID), wanted.text("output", limit=limit))
    role = wanted.choice("role", ("user", "assistant", "system"))
    text = _read_content(wanted, role, limit)
    if role == "user":
        return UserItem(name, text)
    if role == "system":
        return SystemItem(name, text)
    return AssistantItem(name, (Spoken(text, 0.0),), complete=True)


def _read_content(wanted: Fields, role: str, limit: int) -> str:
    kinds = {
        "user": {"input_text": "text", "input_audio": "transcript"},
        "system": {"input_text": "text"},
        "assistant": {
            "output_text": "text",
            "output_audio": "transcript",
            "text": "text",
            "audio": "transcript",
        },
    }[role]
    texts = []
    parts = wanted.array("content", limit=_PARTS)
    for index in parts:
        part = parts.object(index)
        kind = part.choice("type", tuple(kinds))
        text = part.text(kinds[kind], limit=limit, default=None, null=None)
        if text is None and role == "user" and part.values.get("audio") is not None:
            raise part.error("audio", "needs a transcript here: append audio to the input buffer instead")
        texts.append(text or "")
    whole = " ".join(text for text in texts if text)
    if len(whole) > limit:
        raise wanted.error("content", f"must hold at most {limit} characters")
    return whole


def wire_item(item: Item, *, spoken: bool = False, status: str = "completed") -> Mapping[str, Any]:
    """`item` as events carry it: absent keys are left out, and audio is never in it.

    `spoken` says whether a reply has a voice.
    """
    head = {"id": item.id, "object": "realtime.item", "status": status}
    match item:
        case UserItem(spoken=True, text=text, complete=complete):
            part = {"type": "input_audio", "transcript": text if complete else None}
            return {**head, "type": "message", "role": "user", "content": [part]}
        case UserItem(text=text):
            return {**head, "type": "message", "role": "user", "content": [_text("input_text", text)]}
        case SystemItem(text=text):
            return {**head, "type": "message", "role": "system", "content": [_text("input_text", text)]}
        case AssistantItem():
            return {
                **head,
                "type": "message",
                "role": "assistant",
                "content": content(item.text, spoken=spoken),
            }
        case ToolCall(call_id=call_id, name=name, arguments=arguments):
            return {**head, "type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case ToolOutput(call_id=call_id, output=output):
            return {**head, "type": "function_call_output", "call_id": call_id, "output": output}


def text_length(item: Item) -> int:
    """Characters in `item`."""
    match item:
        case ToolCall(arguments=arguments):
            return len(arguments)
        case ToolOutput(output=output):
            return len(output)
        case _:
            return len(item.text)


def content(text: str, *, spoken: bool) -> list[Mapping[str, Any]]:
    """What a reply said, as its item's content."""
    if not text:
        return []
    return [{"type": "output_audio", "transcript": text}] if spoken else [_text("output_text", text)]


def _text(kind: str, text: str) -> Mapping[str, Any]:
    return {"type": kind, "text": text}
