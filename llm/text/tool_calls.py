"""Calls in the text of a reply, in the forms that model families write them in, as the text streams by.

- Hermes and Qwen: `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number of times
- Llama 3: `{"name": ..., "parameters": {...}}` at the beginning of the reply, perhaps behind `<|python_tag|>`
- Mistral: `[TOOL_CALLS][{"name": ..., "arguments": {...}}, ...]`

All forms are recognized, whichever the model. What follows a marker is never text: a call that is no JSON, is
cut off, or is of a function that was not declared is left out. An object without a marker is text unless it
has both a name and arguments, or is cut off and names a declared function.
"""

import json
import re
import secrets
import string
from collections.abc import Callable, Collection, Iterator
from typing import Any

from llm.text.message import Call, read_object
from llm.text.tokenizer import Tokenizer

_END = "</tool_call>"
_MARKERS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>")
MARKERS = (*_MARKERS, _END)


def opening_tokens(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Tokens that begin a call: a model that learned to call does so, whether or not there is a function."""
    special = tokenizer.special
    return tuple(
        {special[marker] if marker in special else tokenizer.encode(marker)[0] for marker in MARKERS}
    )


"""Some vocabularies have special tokens of these names; their text is what is looked for."""

_FIRST_KEYS = tuple(f'"{key}"' for key in ("name", "type", "function", "parameters", "arguments"))
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_SURROGATES = re.compile("[\ud800-\udfff]")
_LETTERS = string.ascii_letters + string.digits


def new_call_id() -> str:
    """An id that no other call has: "call_" and 24 letters and digits, 29 characters in all."""
    return "call_" + "".join(secrets.choice(_LETTERS) for _ in range(24))


class ToolCalls:
    """Takes the text of a reply apart into text and calls.

    Text is held back only while it could be the beginning of a call, or white space before one.
    """

    def __init__(self, names: Collection[str], new_id: Callable[[], str] = new_call_id) -> None:
        """`names` are those of the functions that may be called."""
        self._names, self._new_id = frozenset(names), new_id
        self._held = ""
        self._calls: list[Call] = []
        self._text = ""
        self._step: Callable[[], bool] = self._begin

    def push(self, text: str) -> tuple[str, list[Call]]:
        """Take a piece; return the text and the calls that are certain by now."""
        self._held += text
        while self._step():
            pass
        return self._take()

    def flush(self) -> tuple[str, list[Call]]:
        """The end of the reply: text that did not become a call. A call that was cut off is left out."""
        held, self._held = self._held, ""
        if self._step in (self._begin, self._plain) or (self._step == self._bare and not self._named(held)):
            self._text += held
        return self._take()

    def _take(self) -> tuple[str, list[Call]]:
        taken = self._text, self._calls
        self._text, self._calls = "", []
        return taken

    # Each step looks at what is held, and tells whether the next one has something to look at.

    def _begin(self) -> bool:
        """Where a reply may begin with a call that has no marker."""
        held = self._held.lstrip()
        inside = held[1:].lstrip()
        if held.startswith("{") and inside.startswith(_FIRST_KEYS):
            self._held, self._step = held, self._bare
            return True
        if not held or (held.startswith("{") and any(key.startswith(inside) for key in _FIRST_KEYS)):
            return False
        self._step = self._plain
        return True

    def _plain(self) -> bool:
        """In text: a marker ends it."""
        found = [(at, marker) for marker in _MARKERS if (at := self._held.find(marker)) >= 0]
        if not found:
            keep = len(self._held[: len(self._held) - _undecided(self._held)].rstrip())
            self._text, self._held = self._text + self._held[:keep], self._held[keep:]
            return False
        at, marker = min(found)
        self._text, self._held = self._text + self._held[:at].rstrip(), self._held[at + len(marker) :]
        self._step = self._marked
        return True

    def _bare(self) -> bool:
        """In an object that began the reply."""
        end = _json_end(self._held)
        if end is None:
            return False
        written, self._held = self._held[:end], self._held[end:]
        if not self._read(written, marked=False):
            self._text, self._step = self._text + written, self._plain
        return True

    def _marked(self) -> bool:
        """Behind a marker: a call or a list of them."""
        held = self._held.lstrip()
        if not held:
            return False
        if held[0] not in "{[":
            self._step = self._skip
            return True
        end = _json_end(held)
        closed = _outside_strings(held[:end]).find(_END)
        if closed >= 0:  # brackets that do not match
            self._held = held[closed:]
            self._step = self._behind
            return True
        if end is None:
            return False
        self._held = held[end:]
        self._read(held[:end], marked=True)
        return True

    def _skip(self) -> bool:
        """In a call that is no JSON."""
        found = self._held.find(_END)
        if found < 0:
            return False
        self._held, self._step = self._held[found:], self._behind
        return True

    def _behind(self) -> bool:
        """Behind a call: its end, or another one."""
        self._held = self._held.lstrip(string.whitespace + ";")
        if self._held.startswith(_END):
            self._held = self._held[len(_END) :]
        elif not _END.startswith(self._held):
            self._step = self._begin
        else:
            return False
        return True

    def _read(self, written: str, *, marked: bool) -> bool:
        """Note the calls that are written there; False if what has no marker is none, well-formed or not."""
        value = read_object(f'{{"calls": {written}}}', strict=False)
        calls = value["calls"] if value else None
        attempts = list(map(_attempt, calls if isinstance(calls, list) else [calls]))
        if not marked and not all(name is not None and given is not None for name, given in attempts):
            return False
        for name, given in attempts:
            arguments = _arguments(given)
            if name in self._names and arguments is not None:
                self._calls.append(Call(self._new_id(), str(name), arguments))
        self._step = self._behind
        return True

    def _named(self, written: str) -> bool:
        return any(f'"{name}"' in written for name in self._names)


def _attempt(item: Any) -> tuple[str | None, Any]:  # noqa: ANN401  # JSON
    """The name and the arguments of what may be a call; None for what is not there."""
    if not isinstance(item, dict):
        return None, None
    item = item["function"] if isinstance(item.get("function"), dict) else item
    name = item.get("name", item.get("function"))
    given = item.get("arguments", item.get("parameters"))
    return (name if isinstance(name, str) else None), given


def _arguments(given: Any) -> str | None:  # noqa: ANN401  # JSON
    """Arguments as JSON text: those of a function without any may be left out, or be text themselves."""
    if given is None:
        return "{}"
    value = read_object(given) if isinstance(given, str) else given
    if not isinstance(value, dict):
        return None
    return _SURROGATES.sub("\ufffd", json.dumps(value, ensure_ascii=False))


def _json_end(text: str) -> int | None:
    """Where the object or list that `text` begins with is over; None if it is not."""
    depth = 0
    for at, char in _brackets(_outside_strings(text)):
        depth += 1 if char in "{[" else -1
        if depth == 0:
            return at + 1
    return None


def _brackets(text: str) -> Iterator[tuple[int, str]]:
    return ((match.start(), match.group()) for match in re.finditer(r"[{}\[\]]", text))


def _outside_strings(text: str) -> str:
    """JSON with blanks in the place of strings, up to one that is not over."""
    return _STRING.sub(lambda match: " " * len(match.group()), text).partition('"')[0]


def _undecided(text: str) -> int:
    """Length of the longest end of the text that begins a marker."""
    longest = min(len(text), max(map(len, _MARKERS)) - 1)
    return next((n for n in range(longest, 0, -1) if any(m.startswith(text[-n:]) for m in _MARKERS)), 0)
