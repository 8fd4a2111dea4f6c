"""Typed reading of an event's fields; what is wrong with one is raised with its path."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from assistant.server.wire import WireError, joined, shown

_D = TypeVar("_D")
_N = TypeVar("_N")
_R = TypeVar("_R")
_C = TypeVar("_C", bound=str)

_REQUIRED: Any = object()
_REFUSED: Any = object()


class Fields:
    """An object or array of an event, with its path in it; keys that nobody reads are ignored.

    Each reader takes a key, or the index in an array. It returns `default` for a field that is absent and
    `null` for one that is null. Without a default the field is required, and without a `null` it may not be
    null. Readers raise WireError `missing_required_parameter` or `invalid_value`.
    """

    def __init__(self, values: Mapping[Any, Any], path: str = "", event_id: str | None = None) -> None:
        self.values, self.path, self.event_id = values, path, event_id

    @classmethod
    def of_event(cls, event: Mapping[str, Any]) -> "Fields":
        """The fields of a whole event; all errors about them carry its `event_id`."""
        return cls(event, event_id=event.get("event_id"))

    def __contains__(self, key: str | int) -> bool:
        return key in self.values

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def text(
        self, key: str | int, *, limit: int, default: _D = _REQUIRED, null: _N = _REFUSED
    ) -> str | _D | _N:
        """A string of at most `limit` characters."""

        def read(value: object) -> str | None:
            return value if isinstance(value, str) and len(value) <= limit else None

        return self._read(key, read, f"a string of at most {limit} characters", default, null)

    def integer(
        self, key: str | int, *, low: int, high: int, default: _D = _REQUIRED, null: _N = _REFUSED
    ) -> int | _D | _N:
        """An integer from `low` to `high`; neither 3.0 nor true is one."""

        def read(value: object) -> int | None:
            if isinstance(value, bool) or not isinstance(value, int):
                return None
            return value if low <= value <= high else None

        return self._read(key, read, f"an integer from {low} to {high}", default, null)

    def number(
        self, key: str | int, *, low: float, high: float, default: _D = _REQUIRED, null: _N = _REFUSED
    ) -> float | _D | _N:
        """A number from `low` to `high`."""

        def read(value: object) -> float | None:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            return float(value) if low <= value <= high else None

        return self._read(key, read, f"a number from {low} to {high}", default, null)

    def flag(self, key: str | int, *, default: _D = _REQUIRED, null: _N = _REFUSED) -> bool | _D | _N:
        """True or false."""

        def read(value: object) -> bool | None:
            return value if isinstance(value, bool) else None

        return self._read(key, read, "true or false", default, null)

    def choice(
        self, key: str | int, choices: Collection[_C], *, default: _D = _REQUIRED, null: _N = _REFUSED
    ) -> _C | _D | _N:
        """One of `choices`."""

        def read(value: object) -> _C | None:
            return next((choice for choice in choices if choice == value), None)

        wanted = " or ".join(f'"{choice}"' for choice in choices)
        return self._read(key, read, wanted, default, null)

    def object(self, key: str | int, *, default: _D = _REQUIRED, null: _N = _REFUSED) -> "Fields | _D | _N":
        """The fields of an object."""

        def read(value: object) -> Fields | None:
            if not isinstance(value, dict):
                return None
            return Fields(value, joined(self.path, key), self.event_id)

        return self._read(key, read, "an object", default, null)

    def array(
        self, key: str | int, *, limit: int, default: _D = _REQUIRED, null: _N = _REFUSED
    ) -> "Fields | _D | _N":
        """An array of at most `limit` elements; its keys are 0, 1 and so on."""

        def read(value: object) -> Fields | None:
            if not isinstance(value, list) or len(value) > limit:
                return None
            return Fields(dict(enumerate(value)), joined(self.path, key), self.event_id)

        return self._read(key, read, f"an array of at most {limit} elements", default, null)

    def error(self, key: str | int, what: str, code: str = "invalid_value") -> WireError:
        """The error about the field `key`; `what` goes after its path: "must be ..."."""
        path = shown(joined(self.path, key))
        return WireError(code, f"'{path}' {what}", path, self.event_id)

    def _read(
        self, key: str | int, read: Callable[[Any], _R | None], wanted: str, default: _D, null: _N
    ) -> _R | _D | _N:
        """The field as `read` returns it, which is None for what is not as `wanted`."""
        if key not in self.values:
            if default is _REQUIRED:
                raise self.error(key, "is missing", "missing_required_parameter")
            return default
        value = self.values[key]
        if value is None and null is not _REFUSED:
            return null
        found = read(value)
        if found is None:
            raise self.error(key, f"must be {wanted}, not {_described(value)}")
        return found


def _described(value: Any) -> str:  # noqa: ANN401  # whatever a client sent
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'"{shown(value)}"' if len(value) <= 40 else f"a string of {len(value)} characters"
        case list():
            return f"an array of {len(value)} elements"
        case dict():
            return "an object"
    return shown(str(value))
