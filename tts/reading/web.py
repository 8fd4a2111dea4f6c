"""Addresses: of pages, mail, files and machines."""

import re

from tts.reading.numbers import spell

_SCHEME = re.compile(r"\b(?:https?|ftp|wss?)://(?:www\.)?|\bwww\.(?=\w)|\bmailto:", re.IGNORECASE)
_PORT = r"(?::(?P<port>\d{1,5}))?"
_PATH = r"(?P<path>/[\w./~%+-]*\w)?/?(?:[?#][^\s)\]>]*\w)?"
_MAIL = re.compile(r"(?<![\w.])(?P<user>[\w.+-]*\w)@(?P<host>[\w-]+(?:\.[\w-]+)*\.[a-zA-Z]{2,})\b")
# Letters or digits joined by a full stop, the last run in lower case: an address or a file name. Runs of one
# letter are abbreviations ("e.g.", "p.m."), runs of digits are numbers. A query or fragment is not read.
_HOST = re.compile(
    r"(?<![\w.])(?=[\w.-]*[^\W\d_])(?P<host>(?:[\w-]+\.)*[\w-]{2,}\.[a-z][a-z0-9]+\b(?!\.[A-Z])|localhost\b)"
    + _PORT
    + _PATH
)
_IP = re.compile(
    r"(?<![\d.])(?P<host>\d{1,3}(?:\.\d{1,3}){3})(?![\d]|\.\d)" + _PORT + r"(?:/(?P<mask>\d{1,2})\b)?"
)
_FILES = re.compile(
    r"(?<![\w/.<])(?P<root>~|\.{1,2})?/(?P<path>[\w.-]*[A-Za-z][\w.-]*(?:/[\w.-]+)*)/?(?![\w/])"
)
_NAME = re.compile(r"(?<![\w.])\.(?=[A-Za-z]{2})")
_DOTTED_NAME = re.compile(r"(?<=[A-Za-z]{2})\.(?=(?:NET|AI|IO|JS)\b)")
_LABEL = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]+")
_SIGNS = {
    ".": "dot",
    "/": "slash",
    "-": "dash",
    "_": "underscore",
    "+": "plus",
    "~": "tilde",
    "%": "percent",
    ":": "colon",
}
_SPELLED = frozenset(
    [
        "io",
        "ai",
        "uk",
        "us",
        "eu",
        "ca",
        "au",
        "de",
        "fr",
        "ly",
        "ie",
        "ee",
        "id",
        "js",
        "ts",
        "py",
        "exe",
        "yml",
        "yaml",
        "avi",
    ]
)


def read_addresses(text: str) -> str:
    """`text` with its addresses in words: "example.com/a" is "example dot com slash a"."""
    if "." not in text and "/" not in text and ":" not in text:
        return text
    text = _SCHEME.sub("", text)
    if "@" in text:
        text = _MAIL.sub(lambda m: f"{_read(m['user'])} at {_read(m['host'])}", text)
    text = _IP.sub(_read_ip, text)
    text = _HOST.sub(_read_host, text)
    text = _FILES.sub(_read_path, text)
    return _DOTTED_NAME.sub(" dot ", _NAME.sub("dot ", text))


def _read_host(match: re.Match[str]) -> str:
    words = _read(match["host"]) + _read_port(match)
    return f"{words} {_read(match['path'])}" if match["path"] else words


def _read_ip(match: re.Match[str]) -> str:
    parts = match["host"].split(".")
    if any(int(part) > 255 for part in parts):
        return match[0]
    words = " dot ".join(map(spell, parts)) + _read_port(match)
    return f"{words} slash {match['mask']}" if match["mask"] else words


def _read_port(match: re.Match[str]) -> str:
    return f" colon {spell(match['port'])}" if match["port"] else ""


def _read_path(match: re.Match[str]) -> str:
    root = {None: "", "~": "tilde ", ".": "dot ", "..": "dot dot "}[match["root"]]
    return f"{root}slash {_read(match['path'])}"


def _read(address: str) -> str:
    """The labels and signs of an address; a last label without a vowel, or of a country, is spelled."""
    pieces = _LABEL.findall(address)
    words = []
    for index, piece in enumerate(pieces):
        if piece[0].isalnum():
            words.append(_spelled(piece) if index and pieces[index - 1] == "." else piece)
        else:
            words += [_SIGNS.get(sign, sign) for sign in piece]
    return " ".join(words)


def _spelled(label: str) -> str:
    lower = label.lower()
    if lower.isalpha() and len(lower) < 5 and (lower in _SPELLED or not set(lower) & set("aeiou")):
        return "".join(f"{letter}." for letter in label.upper())
    return label
