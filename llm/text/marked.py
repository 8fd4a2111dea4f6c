"""Text from outside, marked character by character: what a template renders shows where it came from.

A chat template inspects tools and calls, escapes them as JSON and cuts them, so a placeholder would not
always come out whole. Each UTF-16 code unit of what people wrote becomes a character of plane 15, which
nothing else uses: whatever a template does with it, it stays marked, and no special token can be made of it.
"""

import json
import re
import struct
from typing import Any

_PLANE = 0xF0000
_MARKED = re.compile("([\U000f0000-\U000fffff]+)")

# Keys of a schema, and values of "type", that templates look for: they alone stay as they are.
_KEYWORDS = frozenset(
    re.findall(
        r"\S+",
        """type function name description parameters properties required items enum default format title
        strict anyOf oneOf allOf not const additionalProperties prefixItems nullable pattern minimum maximum
        minLength maxLength minItems maxItems $ref $defs return examples""",
    )
)
_TYPES = frozenset(("object", "array", "string", "number", "integer", "boolean", "null", "function"))


def mark(text: str) -> str:
    """The text, marked."""
    data = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(_PLANE + unit) for (unit,) in struct.iter_unpack("<H", data))


def mark_json(value: Any, *, kept: frozenset[str] = frozenset()) -> Any:  # noqa: ANN401  # JSON
    """A JSON value with its strings marked, but for keywords of JSON schemas and those `kept`."""
    match value:
        case str():
            return value if value in kept else mark(value)
        case list():
            return [mark_json(item, kept=kept) for item in value]
        case dict():
            return {
                key if key in _KEYWORDS else mark(key): mark_json(
                    item, kept=_TYPES if key == "type" else frozenset()
                )
                for key, item in value.items()
            }
    return value


def split_marked(rendered: str) -> list[str]:
    """What a template wrote and what was marked, in turn; the latter as it was before it was marked.

    A lone surrogate becomes U+FFFD.
    """
    return [_unmark(run) if i % 2 else run for i, run in enumerate(_MARKED.split(rendered))]


def _unmark(run: str) -> str:
    data = b"".join(struct.pack("<H", ord(char) - _PLANE) for char in run)
    return data.decode("utf-16-le", errors="replace")


JSON_ESCAPES = {
    _PLANE + unit: mark(json.dumps(chr(unit))[1:-1]) for unit in (*range(0x20), ord('"'), ord("\\"))
}
"""For `str.translate`: what JSON escapes in a string, for marked text that was written as JSON."""
