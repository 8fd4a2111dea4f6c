"""Phrases found within what was said, where whole sentences have too many forms to write down.

The table is `hassil`'s: intents with blocks of sentence templates, and rules, which may use those before
them. In a template `{word}` is any word, `{few}` up to four, and `{year}` a year in figures. A block also has
`where` (`anywhere`, the default; `start`: the phrase begins what was said; `whole`: it is all that was said)
and `unless`, phrases that must not be there. Small words around ("hey", "please") count as nothing. The
first intent of the table wins.
"""

import re
from collections.abc import Mapping
from typing import Any

from hassil import parse_sentence
from hassil.expression import Alternative, Expression, Group, ListReference, RuleReference, TextChunk

from assistant.skills.written import as_spoken

_SPACE = r"(?: |(?<= ))"
_GAPS = {"word": r"\S+", "few": r"(?:\S+ ){0,4}?", "year": r"(?:1\d{3}|20\d\d)s?"}
_SHORT = (
    (re.compile(r"\bcan(?:'?t|not)\b"), "can not"),
    (re.compile(r"\bwon'?t\b"), "will not"),
    (re.compile(r"\b(do|does|did|is|are|was|were|has|have|had|would|should|could)n'?t\b"), r"\1 not"),
    (re.compile(r"\bi'?m\b"), "i am"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'d\b"), " would"),
    (re.compile(r"\b(what|who|where|how|that|there)s\b|'s\b"), lambda m: f"{m[1] or ''} is"),
    (re.compile(r"\bgonna\b"), "going to"),
    (re.compile(r"\bwanna\b"), "want to"),
    (re.compile(r"\bgotta\b"), "got to"),
    (re.compile(r"[^\w'%+. ]|\.(?!\d)"), " "),
    (re.compile(r"\s+"), " "),
)
_BEFORE = (
    r"\s*(?:(?:hey|hi|hello|oh|ok|okay|so|well|um|uh|and|but|now|please|assistant|computer|look|listen|actually"
    r"|just|can you|could you|would you|will you|i want you to|i need you to|tell me)\s+)*"
)
_AFTER = (
    r"(?:\s*\b(?:please|now|then|today|tonight|again|for me|assistant|computer|thanks|thank you|right now|too"
    r"|really|so much|very much|a lot|mate|man|dear|buddy|there|though|everyone))*\s*$"
)
_SPOTS = {
    "anywhere": r"(?<= )(?:{})(?:(?= )|(?<= ))",
    "start": rf"^{_BEFORE}(?:{{}})(?:(?= )|(?<= ))",
    "whole": rf"^{_BEFORE}(?:{{}}){_AFTER}",
}


class Phrases:
    """A table of phrases, compiled; a search takes well below a millisecond."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        rules: dict[str, str] = {}
        for name, template in table.get("expansion_rules", {}).items():
            rules[name] = _template(template, rules)
        self._blocks: list[tuple[str, re.Pattern[str], re.Pattern[str] | None]] = [
            (name, _any(block["sentences"], block.get("where", "anywhere"), rules), _unless(block, rules))
            for name, intent in table["intents"].items()
            for block in intent["data"]
        ]
        self.names = frozenset(table["intents"])

    def find(self, text: str) -> str | None:
        """The intent of the first phrase that is in `text`."""
        plain = f" {in_full(text)} "
        for name, phrases, unless in self._blocks:
            if phrases.search(plain) and not (unless and unless.search(plain)):
                return name
        return None


def in_full(text: str) -> str:
    """`text` in small letters without punctuation, and with "I'm" and the like as two words."""
    plain = as_spoken(text).casefold()
    for pattern, full in _SHORT:
        plain = pattern.sub(full, plain)
    return plain.strip()


def _any(templates: list[str], where: str, rules: Mapping[str, str]) -> re.Pattern[str]:
    phrases = "|".join(_template(template, rules) for template in templates)
    return re.compile(_SPOTS[where].format(phrases))


def _unless(block: Mapping[str, Any], rules: Mapping[str, str]) -> re.Pattern[str] | None:
    return _any(block["unless"], "anywhere", rules) if "unless" in block else None


def _template(template: str, rules: Mapping[str, str]) -> str:
    return _regex(parse_sentence(template, keep_text=False).expression, rules)


def _regex(part: Expression, rules: Mapping[str, str]) -> str:
    match part:
        case TextChunk(original_text=text):
            return _SPACE.join(re.escape(piece) for piece in re.split(r"\s+", text))
        case Alternative(items=items):
            return f"(?:{'|'.join(_regex(item, rules) for item in items)})"
        case Group(items=items):
            return "".join(_regex(item, rules) for item in items)
        case RuleReference(rule_name=name):
            return f"(?:{rules[name]})"
        case ListReference(list_name=name):
            return _GAPS[name]
    raise AssertionError(f"{part} in a phrase")
