"""Whether what a command printed is what a case expects, which is written for people. No I/O.

What should be heard is compared word by word, numbers in words on both sides. A remark in brackets may be
said or not, "(or ...)" may stand for some of the words, "(or without ...)" for none of them. What else an
expectation asks for ("one line", "exit 1") is looked up in `_DEMANDS`; one with none of these is left to the
reader.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product
from typing import Literal

from tts.reading import in_words

Verdict = Literal["passed", "failed", "look"]
# A recognizer mishears a word now and then; one in seven may differ, and none in a shorter sentence.
MAX_ERROR = 0.15
_LONGEST_REPLACED = 5  # words that "(or ...)" may stand for
_NAME = "assistant"  # of another project's package on the registries
_ANOTHER_PROJECT = rf"pip install '?{_NAME}\b"


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit status, None after the time limit, and what it printed."""

    code: int | None
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """Both streams together."""
        return self.stdout + self.stderr


def judge(command: str, expected: str, ran: Ran, written: str = "") -> Verdict:
    """Compare what was heard, or check each demand that the expectation makes.

    The expectation may leave out words that are `written`, the text that was to be said.
    """
    if ran.code is None or "Traceback (most recent call last)" in ran.output:
        return "failed"
    if demands := [check(ran) for words, check in _DEMANDS.items() if re.search(words, expected)]:
        return "passed" if all(demands) else "failed"
    if "transcribe" not in command:
        return "look"
    heard = [line for line in ran.stdout.splitlines() if line.strip() and not _SAVED.match(line)]
    return "passed" if ran.code == 0 and error(expected, " ".join(heard), written) <= MAX_ERROR else "failed"


_SAVED = re.compile(r"^\S+\.wav: [\d.]+ s$")
_LINES_PRINTED = re.compile(r"^.*\S.*$", re.MULTILINE)


def _one_line(ran: Ran) -> bool:
    return len(_LINES_PRINTED.findall(ran.stderr)) == 1


def _sentences(ran: Ran) -> bool:
    lines = _replies(ran)
    return bool(lines) and all(line.rstrip().endswith((".", "!", "?", '"', ")")) for line in lines)


def _replies(ran: Ran) -> list[str]:
    return [line for line in ran.stdout.splitlines() if line.strip()]


def _new_each_time(ran: Ran) -> bool:
    lines = _replies(ran)
    return (
        len(lines) > 1
        and len({*lines[1:]} - {lines[0]}) >= min(2, len(lines) - 1)
        and lines[0] not in lines[1:]
    )


# What an expectation says in its own words -> whether that holds.
_DEMANDS = {
    r"nothing can be spoken": lambda ran: ran.code == 1 and _one_line(ran),
    r"exit 1\b": lambda ran: ran.code == 1,
    r"no socket": lambda ran: ran.code != 0 or not ran.output.strip(),
    r"no traceback": lambda ran: len(_LINES_PRINTED.findall(ran.stderr)) <= 1,
    r"one line that names": lambda ran: bool(_replies(ran)) or _one_line(ran),
    r"an answer to the next": lambda ran: ran.code == 0 and bool(_replies(ran)),
    r"read as without": lambda ran: ran.code == 0 and bool(_replies(ran)),
    r"the next line is answered": lambda ran: ran.code == 0,
    r"^both read it": lambda ran: ran.code == 0 and not re.search(r"^assistant: ", ran.stderr, re.MULTILINE),
    r"^spoken, or a message": lambda ran: ran.code == 0 or bool(re.search(r"(?<!\S)--(?!\S)", ran.output)),
    r"replies that end with a sentence": _sentences,
    r"not the text about \w+ again": _new_each_time,
    r"^a remedy that installs this project": lambda ran: not re.search(_ANOTHER_PROJECT, ran.output),
}


def error(expected: str, heard: str, written: str = "") -> float:
    """Words wrong over words expected, for the reading of `expected` nearest to a stretch of `heard`."""
    said, free = words(heard), frozenset(words(written))
    return min(_distance(wanted, said, free) / max(1, len(wanted)) for wanted in _variants(expected))


def words(text: str) -> list[str]:
    """`text` in lower case, numbers in words, letters that are spelled apart, and no punctuation."""
    spoken = re.sub(r"\b([A-Za-z])\.(?=[A-Za-z]\.|\s|$)", r"\1 ", in_words(text)).lower()
    spoken = re.sub(r"\bdouble-u\b", "w", spoken)
    plain = re.findall(r"[^\W_]+(?:'[^\W_]+)*", spoken)
    return ["oh" if word in ("zero", "o") else word for word in plain]


def _variants(expected: str) -> Iterable[list[str]]:
    """Every reading that the brackets of `expected` allow."""
    expected = re.sub(r"^something like: |\s*\(not [^)]*\)|\.\.\.", " ", expected)
    pieces = re.split(r"\(([^()]*)\)", expected)
    others = [piece[3:] for piece in pieces[1::2] if piece.startswith("or ")]
    choices: list[list[list[str]]] = []
    for index, piece in enumerate(pieces):
        said = [] if piece.startswith("or ") else words(piece)
        choices.append([[], said] if index % 2 and said else [said])
    for chosen in product(*choices):
        plain = list(chain.from_iterable(chosen))
        yield plain
        for other in others:
            yield from _replaced(plain, [] if other.startswith("without ") else words(other))


def _replaced(plain: list[str], other: list[str]) -> Iterable[list[str]]:
    for start in range(len(plain) + 1):
        for end in range(start, min(len(plain), start + _LONGEST_REPLACED) + 1):
            yield plain[:start] + other + plain[end:]


def _distance(first: Sequence[str], second: Sequence[str], free: frozenset[str]) -> int:
    """Words to delete, replace or, unless they are free, insert in `first` to find it inside `second`."""
    row = [0] * (len(second) + 1)
    for index, word in enumerate(first, 1):
        previous, row[0] = row[0], index
        for column, other in enumerate(second, 1):
            inserted = row[column - 1] + (other not in free)
            cheapest = min(previous + (word != other), row[column] + 1, inserted)
            previous, row[column] = row[column], cheapest
    return min(row)
