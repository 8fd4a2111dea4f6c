"""Server-sent events: bytes, cut anywhere, to the data of each event, in bounded memory.

Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream"; but where it replaces invalid UTF-8, this
refuses it: half a word is not to be spoken.
"""

import re
from collections.abc import Iterator

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class MalformedEvent(ValueError):  # noqa: N818  # what it is called, not only that it is an error
    """What came is no event stream, or not of the kind expected; the message quotes nothing of it."""


class EventStream:
    """Feed it bytes; it returns the data of the events that they complete. No event exceeds `limit` bytes."""

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit
        self._line = bytearray()  # as far as it has come
        self._data: list[str] = []  # of the event that has not ended
        self._size = 0  # bytes in it
        self._after_cr = False
        self._first = True

    def push(self, data: bytes) -> Iterator[str]:
        """Take the next bytes and yield each event's data; iterate to the end. Raises MalformedEvent."""
        if not data:
            return
        skip = self._after_cr and data.startswith(b"\n")  # the other half of a CR LF
        self._after_cr = data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data[skip:])
        for line in lines:
            self._extend(line)
            whole, self._line = bytes(self._line), bytearray()
            event = self._take(whole)
            if event is not None:
                yield event
        self._extend(rest)

    def _extend(self, data: bytes) -> None:
        self._line += data
        if self._size + len(self._line) > self._limit:
            raise MalformedEvent(f"sent an event of more than {self._limit} bytes")

    def _take(self, line: bytes) -> str | None:
        """One whole line; the event's data if it ends one that has any."""
        if self._first:
            line, self._first = line.removeprefix(_BOM), False
        if not line:
            event = "\n".join(self._data) if self._data else None
            self._data, self._size = [], 0
            return event
        name, _, value = line.partition(b":")  # a comment has no name
        if name == b"data":
            self._size += len(line)
            self._data.append(_decode(value.removeprefix(b" ")))
        return None


def _decode(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise MalformedEvent("sent an event that is not UTF-8") from None
