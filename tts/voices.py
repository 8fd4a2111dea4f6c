"""The names of the voices. Each is a model of Hibari's; one comes with its package."""

import difflib

from hibari.voices import DEFAULT, VOICES

__all__ = ["DEFAULT", "NAMES", "check_name", "is_british"]

NAMES = ("heart", "emma", "fable", "kore")
"""Hibari's voices whose files have the size of the first, and so its graph, which `tts/voice.py` cuts in two.
The file of its fifth, fenrir, has another size."""


def check_name(name: str) -> None:
    """Raises ValueError for a name that no voice has."""
    if name in NAMES:
        return
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"voice must be {', '.join(NAMES[:-1])} or {NAMES[-1]}, not {name!r}{hint}")


def is_british(name: str) -> bool:
    """Whether the voice reads by British rules, not American ones."""
    return bool(VOICES[name]["british"])
