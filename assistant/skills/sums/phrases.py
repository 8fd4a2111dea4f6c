"""Sums that are told as a story, in the order of signs: "subtract 5 from 12" is "(12) - (5)"."""

import re
from dataclasses import dataclass
from typing import Literal

from assistant.skills.sums.numbers import number_at, tokens

Kind = Literal["sum", "share", "addition", "deduction"]

_LED_BY = re.compile(
    r"^(?:(?:and|then|now|so|okay|the) )+|"
    r"^(?:.* )?(?:if|when) (?:you|we|i) (?=(?:add|subtract|take|multiply|divide|split|share)\b)"
)
_ENDED_BY = re.compile(r"(?: (?:in total|altogether|again|each)| ?=)+$")
_MILLIONS = re.compile(r"(dollars|pounds|euros) (thousand|million|billion|trillion)\b")
_TALES = tuple(
    (re.compile(pattern), infix)
    for pattern, infix in (
        (r"add (.+ percent) (?:tip|gratuity|(?:sales )?tax|vat) to (.+)", r"(\2) + (\1)"),
        (r"(.+) (?:plus|and|with) (?:an? )?(.+ percent) (?:tip|gratuity|(?:sales )?tax|vat)", r"(\1) + (\2)"),
        (r"add (.+) (?:to|with) (.+)", r"(\2) + (\1)"),
        (r"(?:add|sum)(?: up)? (?!of\b)(.+ and .+?)(?: together)?", r"sum of \1"),
        (r"average (?!of\b)(.+)", r"average of \1"),
        (r"quotient of (.+) and (.+)", r"(\1) / (\2)"),
        (r"(.+) less than (.+)", r"(\2) - (\1)"),
        (r"(.+) more than (.+)", r"(\2) + (\1)"),
        (r"(?:subtract|take away|take|deduct) (.+?)(?: away)? from (.+)", r"(\2) - (\1)"),
        (r"(?:take |knock )?(.+ percent) off (?:of )?(.+)", r"(\2) - (\1)"),
        (r"(.+) (?:with|at) (.+ percent) off", r"(\1) - (\2)"),
        (r"multiply (.+) (?:by|and|with|times) (.+)", r"(\1) * (\2)"),
        (r"divide (.+) by (.+)", r"(\1) / (\2)"),
        (r"increase (.+) by (.+)", r"(\1) + (\2)"),
        (r"(?:decrease|reduce) (.+) by (.+)", r"(\1) - (\2)"),
        (r"remainder (?:of|when|if) (.+?)(?: is)? divided by (.+)", r"(\1) mod (\2)"),
        (r"how many times does (.+) go into (.+)", r"(\2) / (\1)"),
        (r"what percent(?:age)? of (.+) is (.+)", r"(\2) / (\1) as a percentage"),
        (r"what percent(?:age)? is (.+?) (?:out )?of (.+)", r"(\1) / (\2) as a percentage"),
        (r"(.+) (?:is what|as a) percent(?:age)? of (.+)", r"(\1) / (\2) as a percentage"),
        (r"(.+) out of (.+) as a percent(?:age)?", r"(\1) / (\2) as a percentage"),
        (r"halve (.+)", r"(\1) / 2"),
        (r"add (.+)", r"that + (\1)"),
        (r"(?:subtract|take away|take off|deduct) (.+)", r"that - (\1)"),
        (r"(multiply|divide) by (.+)", r"that \1 by (\2)"),
        (r"square (that|it|this)", r"(\1) squared"),
    )
)  # fmt: skip
_EACH = re.compile(
    r"(?:(?:if|when|so|and|for) )*(?:(?:you|we|i) (?:buy|get|bought|got|order|need|want|sell|have) )?"
    r"(?P<many>.+?) (?:at|for|cost|costing|that cost|are) (?P<price>[\w. ]+?)"
    r" (?:each|apiece|a piece|per \w+|a head)(?:,? (?:how much|what|what's)"
    r"(?: is| will| would| does| do|'s)? ?(?:that|it|they|i|we|you|the total)?"
    r"(?: (?:all )?(?:be|cost|come to|pay|owe|total|in total|altogether|spend))*)?"
)
_LONGEST_THING = 3  # words
_BILL = r"(?:bill|check|tab|meal|dinner|lunch|ride|total)"
_WHOLE = rf"(?:(?:a|an|the|my|our) )?(?:{_BILL} (?:of|for) )?(?P<whole>.+?)(?: {_BILL})?"
_WITH = r"(?:(?:evenly|equally) )?(?:between|among|amongst|with|by|into)(?: us)?(?: the)?"
_PEOPLE = r"(?: (?:people|persons|friends|guests|kids|children|of us|ways|parts|equal parts))?"
_BETWEEN = _WITH.replace("|with|by|into", "")
_SHARED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"(?:split|share) {_WHOLE} {_WITH} (?P<by>.+?){_PEOPLE}",
        rf"(?:divide|divvy up) {_WHOLE} {_BETWEEN} (?P<by>.+?){_PEOPLE}",
        rf"{_WHOLE} (?:split|shared) {_WITH} (?P<by>.+?){_PEOPLE}",
        rf"{_WHOLE} divided {_BETWEEN} (?P<by>.+?){_PEOPLE}",
        rf"(?:split |divide )?{_WHOLE} (?:split |divided )?(?P<by>[\w-]+) ways",
    )
)
_ON_TOP = r"(?P<kind>tip|gratuity|service charge|tax|sales tax|vat)"
_OFF = r"(?P<kind>discount|commission)"
_KINDS: tuple[tuple[str, Kind], ...] = ((_ON_TOP, "addition"), (_OFF, "deduction"))
_PARTS = tuple(
    (re.compile(pattern.replace("KIND", words)), kind)
    for words, kind in _KINDS
    for pattern in (
        rf"(?:a |an )?(?P<part>.+ percent) KIND (?:be )?(?:on|for|of|from) {_WHOLE}",
        rf"(?:a )?KIND of (?P<part>.+ percent) (?:on|for) {_WHOLE}",
        rf"(?:a )?KIND (?:on|for) {_WHOLE} at (?P<part>.+ percent)",
        rf"KIND (?P<part>.+ percent) on {_WHOLE}",
    )
)


@dataclass(frozen=True)
class Told:
    """A sum in the order of signs, and how its answer is told."""

    infix: str
    kind: Kind = "sum"
    name: str = ""
    """Of an addition or a deduction, such as "tip"."""
    whole: str = ""
    """What that is added to or taken from."""


def _priced(text: str) -> Told | None:
    """So many things at a price each: "if I buy 6 cans at 2.49 dollars each how much is that"."""
    found = _EACH.fullmatch(text)
    words = tokens(found["many"]) if found else []
    many = number_at(words, 0)
    if found is None or many is None or len(words) - many[1] > _LONGEST_THING:
        return None
    return Told(f"({' '.join(words[: many[1]])}) * ({found['price']})")


def told(text: str) -> Told:
    """What `text` asks to be worked out, which may still be no sum; "that" in it is the last result."""
    text = _MILLIONS.sub(r"\2 \1", text.casefold().replace("per cent", "percent"))
    if priced := _priced(text):
        return priced
    text = _ENDED_BY.sub("", _LED_BY.sub("", text))
    for pattern in _SHARED:
        if share := pattern.fullmatch(text):
            return Told(f"({share['whole']}) / ({share['by']})", "share")
    for pattern, kind in _PARTS:
        if part := pattern.fullmatch(text):
            return Told(f"({part['part']}) * ({part['whole']})", kind, part["kind"], part["whole"])
    for pattern, infix in _TALES:
        if tale := pattern.fullmatch(text):
            return Told(tale.expand(infix))
    return Told(text)
