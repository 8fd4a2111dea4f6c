"""What a conversation is made of: messages, the functions a model may call, and its calls."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]

MAX_TOOL_NAME_CHARS = 64  # of OpenAI's API, as are the characters of a name
_TOOL_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOOL_NAME_CHARS}}}")
_MAX_LEVELS = 64  # of objects and lists in one another; real schemas have about ten


@dataclass(frozen=True)
class Tool:
    """A function that the model may call. `parameters` is the JSON text of the schema of its arguments.

    Raises ValueError for a name that is none, and for parameters that are no JSON object.
    """

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'

    def __post_init__(self) -> None:
        if not _TOOL_NAME.fullmatch(self.name):
            raise ValueError(f"a tool's name has 1 to 64 letters, digits, _ and -: {self.name!r:.80}")
        if read_object(self.parameters) is None:
            raise ValueError(f"the parameters of the tool {self.name} are not a JSON object")

    def to_dict(self) -> dict[str, Any]:
        """The tool as chat APIs and chat templates have it."""
        parameters = read_object(self.parameters)
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}


@dataclass(frozen=True)
class Call:
    """A call of a function that the model wants. `arguments` is JSON text; `id` names its output."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Message:
    """One message of a conversation. One of the role "tool" is the output of the call `call_id`."""

    role: Role
    content: str
    calls: tuple[Call, ...] = ()
    call_id: str | None = None


def read_object(text: str, *, strict: bool = True) -> dict[str, Any] | None:
    """The JSON object that `text` is; None if it is none, or one with more than 64 levels.

    Unless `strict`, strings may have line breaks in them.
    """
    try:
        value = json.loads(text, strict=strict, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _is_shallow(value, _MAX_LEVELS) else None


def as_text(messages: Sequence[Message]) -> list[Message]:
    """Calls and their outputs as what the assistant and the user say, for models that know no tools."""
    return [_as_text(message) for message in messages]


def without_later_system(messages: Sequence[Message]) -> list[Message]:
    """System messages behind the first as what the user says, for models that know one only."""
    later = [replace(message, role="user") if message.role == "system" else message for message in messages]
    return [*messages[:1], *later[1:]]


def paired(messages: Sequence[Message], *, one_by_one: bool = False) -> list[Message]:
    """Messages as models and servers want them: the output of each call comes right behind it.

    Calls of one reply stand in one message with its text, or `one_by_one`, each in one of its own. Calls
    without an output (yet) are left out. An output without its call is what the user says.
    """
    outputs = {message.call_id: message for message in messages if message.role == "tool"}
    called = {call.id for message in messages for call in message.calls}
    joined: list[Message] = []
    behind_output = False
    for message in messages:
        if message.role == "tool":
            behind_output = True
            if message.call_id not in called:
                joined.append(_as_text(message))
            continue
        calls = tuple(call for call in message.calls if call.id in outputs)
        if message.calls and not calls and not message.content:
            continue
        last = joined[-1] if joined else message
        if calls and last.role == "assistant" and not behind_output and joined:
            joined[-1] = replace(last, content=last.content + message.content, calls=last.calls + calls)
        else:
            joined.append(replace(message, calls=calls))
        behind_output = False
    return [part for message in joined for part in _with_outputs(message, outputs, one_by_one=one_by_one)]


def _with_outputs(
    message: Message, outputs: dict[str | None, Message], *, one_by_one: bool
) -> Iterator[Message]:
    if not one_by_one or len(message.calls) < 2:
        yield message
        yield from (outputs[call.id] for call in message.calls)
        return
    for number, call in enumerate(message.calls):
        yield replace(message, content="" if number else message.content, calls=(call,))
        yield outputs[call.id]


def _as_text(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", message.content)
    if not message.calls:
        return message
    calls = (f"{call.name}({call.arguments})" for call in message.calls)
    return Message("assistant", "\n".join(filter(None, (message.content, *calls))))


def _is_shallow(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
