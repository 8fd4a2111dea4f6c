"""Written lines as sentences on one line, and where a reply of enough of them ends: a voice has no lines.

A line that no mark ends gets a full stop, and the marks of lists are left out. A blank line behind a sentence
ends the reply, as the end of its paragraph, unless an item of a list follows.
"""

import re

_BULLETS = "-*\u2022"
_ITEM = re.compile(r"(?:[-*\u2022]|\d{1,3}[.)])\s")
_MAY_BE_ITEM = re.compile(r"[-*\u2022]|\d{1,3}[.)]?")
_SENTENCE = re.compile(r"[.!?\u2026][\"'\u201d\u2019)\]*_]*\Z")
# Behind these a full stop says nothing: an abbreviation, an initial, the number of an item.
_DOUBTFUL = re.compile(
    r"(?:\b(?:[A-Z]|[A-Za-z]\.[A-Za-z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|approx)|(?:\A|[.:!?]\s)\d{1,3})\.\Z"
)
_LOOK_BACK = 16  # characters
_NEED_NO_STOP = ".!?\u2026,;:\u2014-"


class SpokenLines:
    """Feed it text; it returns what is certain to be of the reply."""

    def __init__(self, enough_chars: int = 0) -> None:
        """The first sentence that ends behind `enough_chars` characters ends the reply; 0: none does."""
        self._enough = enough_chars
        self._tail, self._length = "", 0  # of what was returned
        self._held = ""  # white space, and what may be the mark of an item behind it
        self._item = False  # the mark of an item was left out, and nothing of it has come
        self.ended = False

    def push(self, text: str) -> str:
        """Take the next text; nothing is returned once `ended`, nor white space at the beginning."""
        return "".join(map(self._take, text))

    def flush(self) -> str:
        """The end of the text: neither white space nor the mark of an item that never came is part of it."""
        rest, gap = self._held.strip(), self._held[: len(self._held) - len(self._held.lstrip())]
        self._held = ""
        return self._pass(self._joint(gap) + rest) if rest and rest not in _BULLETS else ""

    def _take(self, char: str) -> str:
        if self.ended:
            return ""
        if not (self._held or char.isspace() or self._may_begin_item(char)):
            return self._pass(char)
        self._held += char
        body = self._held.lstrip()
        gap = self._held[: len(self._held) - len(body)]
        broken = "\n" in gap or not self._length
        if not body or (broken and _MAY_BE_ITEM.fullmatch(body)):
            return ""
        if broken and _ITEM.match(body):
            self._item, self._held = True, gap
            return ""
        self._held = ""
        if self._ends(gap, body):
            self.ended = True
            return ""
        return self._pass(self._joint(gap) + body)

    def _may_begin_item(self, char: str) -> bool:
        return not self._length and not self._item and _MAY_BE_ITEM.fullmatch(char) is not None

    def _ends(self, gap: str, body: str) -> bool:
        """Whether the reply ends before `body`."""
        tail = self._tail
        if not _SENTENCE.search(tail) or _DOUBTFUL.search(tail) or (body[0].islower() and "\n" not in gap):
            return False
        paragraph = gap.count("\n") > 1 and not self._item
        return paragraph or 0 < self._enough <= self._length

    def _joint(self, gap: str) -> str:
        """What stands between two lines, or words."""
        if not self._length:
            return ""
        if "\n" not in gap:
            return gap
        return " " if self._tail[-1] in _NEED_NO_STOP or _SENTENCE.search(self._tail) else ". "

    def _pass(self, text: str) -> str:
        self._item = False
        self._tail = (self._tail + text)[-_LOOK_BACK:]
        self._length += len(text)
        return text
