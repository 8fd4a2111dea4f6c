"""Reading values that anyone may have written: each is checked, and Invalid says what is wrong."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

_MOST_NUMBER = 1e12
_MOST_TEXT = 4096
_MOST_TOPIC = 1024  # MQTT allows 65535 bytes; devices use 100


class Invalid(ValueError):  # noqa: N818  # a condition with a name of its own
    """A message, or a part of one, that is left out."""


def read_json(payload: str) -> object:
    """The value of a JSON text, of which NaN and infinity are no part. Raises Invalid."""
    try:
        return json.loads(payload, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Invalid("not JSON") from None


def _no_number(_: str) -> float:
    raise Invalid("not JSON")


def read_object(payload: str) -> dict[str, object]:
    """A JSON object. Raises Invalid."""
    value = read_json(payload)
    if not isinstance(value, dict):
        raise Invalid("no JSON object")
    return value


def read_number(value: object) -> float:
    """A number that is not huge, or a text of one; a boolean is none. Raises Invalid."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid("no number")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise Invalid("no number") from None
    if not abs(number) <= _MOST_NUMBER:  # nor is NaN
        raise Invalid("no number")
    return number


def one_line(value: object, most: int = 255) -> str:
    """A text to be shown or spoken: printable, on one line, at most so many characters; "" for none."""
    if not isinstance(value, str):
        return ""
    spaced = "".join(char if char.isprintable() else " " for char in value[: 4 * most])
    return " ".join(spaced.split())[:most].rstrip()


def is_topic(text: str) -> bool:
    """Whether `text` names one topic: no wildcard, no control character, no broker's own ($SYS)."""
    plain = text.isprintable() and not any(char in text for char in "#+")
    return 0 < len(text.encode("utf-8", "replace")) <= _MOST_TOPIC and plain and not text.startswith("$")


@dataclass(frozen=True)
class Fields:
    """The configuration of one discovered component, its keys spelled out."""

    config: Mapping[str, object]

    def text(self, key: str, default: str = "") -> str:
        """A text, as Home Assistant makes one of numbers and booleans, too. Raises Invalid."""
        value = self.config.get(key)
        if value is None:
            return default
        if not isinstance(value, str | int | float) or len(text := str(value)) > _MOST_TEXT:
            raise Invalid(f"{key} is no text")
        return text

    def payload(self, key: str, default: str) -> str | None:
        """What to publish; None where the key is null: the device does not have this."""
        return None if key in self.config and self.config[key] is None else self.text(key, default)

    def topic(self, key: str) -> str:
        """A topic, or "" if there is none. Raises Invalid."""
        topic = self.config.get(key)
        if topic is None or topic == "":
            return ""
        if not isinstance(topic, str) or not is_topic(topic):
            raise Invalid(f"{key} is no topic")
        return topic

    def needed(self, key: str) -> str:
        """A topic that has to be there. Raises Invalid."""
        if not (topic := self.topic(key)):
            raise Invalid(f"no {key}")
        return topic

    def number(self, key: str, default: float) -> float:
        """A number. Raises Invalid."""
        value = self.config.get(key)
        return default if value is None else read_number(value)

    def flag(self, key: str, default: bool = False) -> bool:
        """A boolean, or what stands for one in YAML."""
        value = self.config.get(key)
        return default if value is None else str(value).lower() in ("true", "yes", "on", "1", "enable")

    def texts(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The texts in a list. Raises Invalid for what is no list."""
        value = self.config.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or len(value) > 100:
            raise Invalid(f"{key} is no list")
        return tuple(text[:_MOST_TEXT] for text in value if isinstance(text, str))
