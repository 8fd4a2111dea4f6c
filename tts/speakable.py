"""What the voice reads of a phrase: text written for the eye turned into words for the ear."""

import unicodedata

from tts.reading import in_words


def speakable(phrase: str) -> str:
    """The words of `phrase` as the voice should say them; "" if there are none.

    Numbers, units, signs and addresses become words ("$5" is "five dollars"); markup, emoji and stray quotes
    and brackets go. Words in a script that the voice cannot read become a remark that names the script.
    """
    return in_words(phrase)


def is_readable(text: str) -> bool:
    """Whether `text` has anything but words in scripts that the voice cannot read."""
    return any(_is_readable(char) for char in unicodedata.normalize("NFKC", text))


def _is_readable(char: str) -> bool:
    return (char.isascii() and char.isalnum()) or (
        char.isalnum() and unicodedata.name(char, "").startswith(("LATIN", "DIGIT"))
    )
