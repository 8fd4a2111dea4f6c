"""Events as they go over the socket: strict JSON in, compact JSON out."""

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

_V = TypeVar("_V")

_MAX_DEPTH = 64  # the deepest part of an event is the JSON schema of a tool
_MAX_DIGITS = 20  # 2**64 has as many; converting thousands of them takes quadratic time
_MAX_VALUES = 20_000  # 128 tools of 150 each; to read one takes a microsecond or two, while all others wait
_MAX_BRACKETS = 8 * _MAX_VALUES  # opening ones, in texts too: no text that is taken is as long
_MAX_SHOWN = 60
_TOO_DEEP = f"the event is nested deeper than {_MAX_DEPTH} levels"
_TOO_MANY = f"the event has more than {_MAX_VALUES} values"
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class WireError(Exception):
    """An event that the server cannot take, with the parts of the protocol's `error` event.

    `param` is the path of the field, as in `session.audio.input.format.rate`. `event_id` is the client's.
    """

    def __init__(
        self,
        code: str,
        message: str,
        param: str | None = None,
        event_id: str | None = None,
        type: str = "invalid_request_error",  # noqa: A002  # the protocol's name for it
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.param, self.event_id, self.type = code, message, param, event_id, type


def read_event(text: str, *, max_event_id: int = 512) -> dict[str, Any]:
    """The client event that `text` spells, a JSON object whose `type` is a string.

    Raises WireError: `invalid_json` for what is no JSON object, is nested deeper than 64 levels, or has more
    than 20,000 values, non-finite numbers, integers of more than 20 digits, duplicate keys or lone
    surrogates; `invalid_value` for an `event_id` that is no string of at most `max_event_id` characters;
    `invalid_event` for a `type` that is missing or no string.
    """
    event = _parsed(text)
    event_id = event.get("event_id")
    readable = isinstance(event_id, str) and len(event_id) <= max_event_id and _is_text(event_id)
    known_id = event_id if readable else None
    for path, reason in _problems(event):
        message = f"'{shown(path)}' {reason}" if path else reason
        raise WireError("invalid_json", message, shown(path) or None, known_id)
    if "event_id" in event and not readable:
        message = f"'event_id' must be a string of at most {max_event_id} characters"
        raise WireError("invalid_value", message, "event_id")
    if not isinstance(event.get("type"), str):
        message = "'type' must be a string" if "type" in event else "'type' is missing"
        raise WireError("invalid_event", message, "type", known_id)
    return event


def read_object(text: str) -> dict[str, Any]:
    """The JSON object that `text` spells; raises WireError `invalid_json` as `read_event` does."""
    found = _parsed(text)
    for path, reason in _problems(found):
        raise WireError("invalid_json", f"'{shown(path)}' {reason}" if path else reason, shown(path) or None)
    return found


def write_event(event: Mapping[str, Any]) -> str:
    """One server event as compact JSON; raises ValueError for NaN and infinities."""
    return json.dumps(dict(event), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def error_event(error: WireError, event_id: str) -> dict[str, Any]:
    """The protocol's `error` event about `error`; `event_id` is its own, `error.event_id` the client's."""
    details = {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "event_id": error.event_id,
    }
    return {"type": "error", "event_id": event_id, "error": details}


def shown(text: str) -> str:
    """What a client sent, fit for a message: at most 60 characters, the unprintable ones escaped."""
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:_MAX_SHOWN])
    whole = len(text) <= _MAX_SHOWN and len(escaped) <= _MAX_SHOWN
    return escaped if whole else f"{escaped[: _MAX_SHOWN - 1]}…"


def joined(path: str, key: str | int) -> str:
    """The path of a field below `path`, as in `session.tools[0].name`."""
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key


@dataclass(frozen=True)
class _Refused:
    """A value that JSON can spell and the server does not take, in its place in the parsed event."""

    reason: str


class _Left:
    """How many values of an event may still be read."""

    def __init__(self) -> None:
        self._count = _MAX_VALUES

    def take(self, value: _V, values: int = 1) -> _V:
        """`value`, which is so many; raises WireError if that is too many."""
        self._count -= values
        if self._count < 0:
            raise WireError("invalid_json", _TOO_MANY)
        return value


def _parsed(text: str) -> dict[str, Any]:
    """The JSON object in `text`, with `_Refused` in place of values that cannot be taken."""
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise WireError("invalid_json", _TOO_MANY)
    left = _Left()
    try:
        event = json.loads(
            text,
            object_pairs_hook=lambda pairs: _object(left.take(pairs, 1 + len(pairs))),
            parse_constant=lambda name: _Refused(f"is {name}, which is no JSON"),
            parse_float=lambda digits: _number(left.take(digits)),
            parse_int=lambda digits: _integer(left.take(digits)),
        )
    except RecursionError:
        raise WireError("invalid_json", _TOO_DEEP) from None
    except json.JSONDecodeError as error:
        message = f"the event is not JSON: {error.msg} at character {error.pos}"
        raise WireError("invalid_json", message) from None
    if not isinstance(event, dict):
        raise WireError("invalid_json", "the event is not a JSON object")
    return event


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        times = Counter(key for key, _ in pairs)
        values |= {key: _Refused("is given more than once") for key in values if times[key] > 1}
    return values


def _number(digits: str) -> float | _Refused:
    number = float(digits)
    return number if math.isfinite(number) else _Refused("is a number too large for double precision")


def _integer(digits: str) -> int | _Refused:
    if len(digits.lstrip("-")) > _MAX_DIGITS:
        return _Refused(f"is an integer of more than {_MAX_DIGITS} digits")
    return int(digits)


def _is_text(text: str) -> bool:
    """Whether `text` can be written as UTF-8; asking first whether it is ASCII spares base64 the search."""
    return text.isascii() or not _SURROGATE.search(text)


def _items(container: dict[str, Any] | list[Any]) -> Iterable[tuple[str | int, Any]]:
    return container.items() if isinstance(container, dict) else enumerate(container)


def _problems(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The path of each value that cannot be taken, with the reason, level by level; no path for the event."""
    level: list[tuple[str, dict[str, Any] | list[Any]]] = [("", event)]
    left = _Left()
    for _ in range(_MAX_DEPTH):
        below = []
        for path, container in level:
            for key, value in _items(left.take(container, len(container))):
                match value:
                    case dict() | list():
                        below.append((joined(path, key), value))
                    case _Refused(reason):
                        yield joined(path, key), reason
                    case str() if not _is_text(value):
                        yield joined(path, key), "has half of a surrogate pair"
                if isinstance(key, str) and not _is_text(key):
                    yield joined(path, key), "is a key with half of a surrogate pair"
        if not below:
            return
        level = below
    yield "", _TOO_DEEP
