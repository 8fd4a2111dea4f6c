"""Tables written as text, and patterns made of them."""

import re
from collections.abc import Iterable


def words(text: str) -> tuple[str, ...]:
    """The words of `text`."""
    return tuple(text.split())


def table(text: str) -> dict[str, str]:
    """Entries "written: spoken", parted by ";" or line ends."""
    pairs = (entry.split(":", 1) for entry in text.replace("\n", ";").split(";") if entry.strip())
    return {key.strip(): spoken.strip() for key, spoken in pairs}


def any_of(keys: Iterable[str]) -> str:
    """A regular expression of `keys`, longer ones first."""
    return "|".join(re.escape(key) for key in sorted(keys, key=len, reverse=True))
