"""The files of cases in data/: sections of prompts with what should come of them.

    # KIND KEY         begins a section; other lines that begin with # are comments
    u TEXT, a TEXT     what the user and the assistant said before
    ? PROMPT           (one|another), [may be left out], {slot}; behind => slots that the words mean, as JSON
    > REPLY            one of several
    ! FUNCTION [JSON]  a call; without JSON its slots are those of the prompt
    ~ PATTERN          a regular expression that a right reply holds
    | COLUMN | ...     names of columns; the lines below it are rows

A value of a row that is a pattern ("cub|kit") is said by its first alternative.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal, get_args

Kind = Literal["command", "cannot", "unknown", "fact", "talk", "follow_up", "replay"]

_DATA = files("llm.train") / "data"
_SECTION = re.compile(rf"# ({'|'.join(get_args(Kind))}) (\S+)")
_LIST = re.compile(r"\[(\S+) (open|closed) (\S+)\]")
_CASES = ("commands", "cannot", "unknown", "talk", "jokes", "tables", "dialogues", "replay")


@dataclass
class Section:
    """Prompts of one kind, and what should come of them."""

    kind: Kind
    key: str
    history: list[tuple[str, str]] = field(default_factory=list)  # "u" or "a", text
    prompts: list[str] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)  # name, JSON or nothing
    pattern: str = ""
    rows: list[Mapping[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Words:
    """A list that a slot draws from.

    argument: the slot of a call that such a word fills, or "-". open: some are kept for the evaluation.
    """

    argument: str
    open: bool
    words: tuple[str, ...]


def read_sections() -> list[Section]:
    """All sections, in the order of the files."""
    return [section for name in _CASES for section in _sections(_read(name))]


def read_facts() -> list[Section]:
    """The single facts, a section each."""
    found = []
    for line in _lines(_read("facts")):
        questions, answer, pattern = line.split(" | ")
        found.append(
            Section("fact", "everyday", prompts=questions.split(" / "), replies=[answer], pattern=pattern)
        )
    return found


def read_words() -> dict[str, Words]:
    """The lists that templates draw from, by name."""
    found: dict[str, Words] = {}
    name, argument, open_ = "", "", False
    for line in _lines(_read("contents")):
        if match := _LIST.fullmatch(line):
            name, argument, open_ = match[1], match[3], match[2] == "open"
        else:
            found[name] = Words(argument, open_, tuple(line.split(", ")))
    return found


def _read(name: str) -> str:
    return (_DATA / f"{name}.txt").read_text(encoding="utf-8")


def _lines(text: str) -> Iterator[str]:
    yield from (line for line in text.splitlines() if line and not line.startswith("#"))


def _sections(text: str) -> Iterator[Section]:
    section: Section | None = None
    columns: list[str] = []
    for line in text.splitlines():
        if match := _SECTION.fullmatch(line):
            if section is not None:
                yield section
            kind: Kind = match[1]  # type: ignore[assignment]  # the pattern allows no other
            section, columns = Section(kind, match[2]), []
        elif section is None or not line or line.startswith("#"):
            continue
        elif line[0] == "|":
            columns = [column.strip() for column in line[1:].split(" | ")]
        elif columns and line[:2] not in ("? ", "> ", "! ", "~ "):
            section.rows.append(dict(zip(columns, line.split(" | "), strict=True)))
        else:
            _take(section, line[0], line[2:])
    if section is not None:
        yield section


def _take(section: Section, mark: str, text: str) -> None:
    match mark:
        case "u" | "a":
            section.history.append((mark, text))
        case "?":
            section.prompts.append(text)
        case ">":
            section.replies.append(text)
        case "!":
            name, _, written = text.partition(" ")
            section.calls.append((name, written))
        case "~":
            section.pattern = text
        case _:
            raise ValueError(f"section {section.kind} {section.key}: a line that begins with {mark!r}")
