"""Digits that are no quantity: telephone numbers, codes, rooms, versions."""

import re

from tts.reading.numbers import in_pairs, number, spell
from tts.reading.vocabulary import CALLS, CODES, ROOMS

_NOT_COUNTED = (
    r"(?![\w,]*\d)(?!\s(?!was\b|is\b|has\b|as\b|always\b|his\b|this\b)[a-z]+s\b|\s(?:people|men|women"
    r"|children|times)\b|%|\s?°)"
)
_US_PHONE = re.compile(
    r"(?<![\w.+-])(?P<plus>\+)?(?:(?P<country>1)[-. ]?)?(?:\((?P<area>\d{3})\)[-. ]?|(?P<area2>\d{3})"
    r"(?P<sep>[-. ]))(?P<mid>\d{3})(?(sep)(?P=sep)|[-. ])(?P<last>\d{4}|[A-Z]{4,7}\b)(?![\w-]|\.\d)"
    r"|(?<![\w.+-])(?P<toll>1)-(?P<area3>8\d\d)-(?P<words>[A-Z]{3,}(?:-[A-Z]+)*)\b"
)
_LOCAL = re.compile(r"(?<![\w.,-])(\d{3}(?=-)|555(?= ))[- ](\d{4})(?![\w-]|\.\d)")
_WORLD = re.compile(r"(?<!\w)\+(?P<groups>\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6})(?![\w-])")
_ZERO = re.compile(r"(?<![\w.,+-])(?P<groups>\(?0\d{1,4}\)?(?:[ -]\d{2,7}){1,4})(?![\w-]|\.\d)")
_GROUPS = re.compile(
    r"(?<![\w.,/-])(?:\d{3}-\d{2}-\d{4}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d-\d-\d(?:-\d)*|\d{2,5}"
    r"(?:-\d{1,7}){3,})(?![\w-]|\.\d)"
)
_CALL = re.compile(
    rf"(?P<lead>\b(?:{CALLS})\b(?:(?: or| and)? [a-zA-Z]+)?[^\w]{{0,3}}?(?:(?: or| at| to| on|:) ?)?)"
    rf"(?P<digits>(?<![\w.,-])\d{{3,10}}){_NOT_COUNTED}",
    re.IGNORECASE,
)
_NEXT_CALL = re.compile(
    rf"(?<=, )(?P<o>or )?(?P<digits>\d{{3}}){_NOT_COUNTED}|(?<=\bor )(?P<d>\d{{3}}){_NOT_COUNTED}"
)
_EMERGENCY = re.compile(
    r"(?<![\w.,$€£-])(?:911|999|112|988)(?=[ -](?:call|calls|caller|callers|operator|operators"
    r"|dispatcher|dispatchers|emergency|lifeline|hotline|center|service)\b)|(?<!"
    rf"[\w.,$€£-])911{_NOT_COUNTED}(?!\w|-)"
)
_CODE = re.compile(
    rf"(?P<lead>\b(?:{CODES})(?:'s)?\b[:#]?(?: (?:is|was|of|now|to|are|ending|in|on)\b:?){{0,3}}:? ?"
    rf"[#\"'*]{{0,2}})(?P<digits>\d{{3,}}(?:[- ]\d{{3,}})*){_NOT_COUNTED}(?!\.\d|\w)",
    re.IGNORECASE,
)
_STATE_ZIP = re.compile(r"(?<=\b[A-Z]{2} )(\d{5})(?:-(\d{4}))?(?![\w,.]?\d)")
_ROOM = re.compile(
    rf"(?P<lead>\b(?:{ROOMS})\.?(?: number| no\.)?(?: is)? #?)(?P<digits>\d{{3,4}})(?![\w,.]?\d|\w)",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?<![\w.])[vV](?:ersion)? ?(?=\d+(?:\.\d+)|\d+\b(?![.,]?\d))")
_DOTTED = re.compile(r"(?<![\w.,])(?!\d{1,3}(?:\.000)+\b)\d+(?:\.\d+){2,}(?![\w]|\.\d)")


def read_codes(text: str) -> str:
    """`text` with telephone numbers, codes and versions in words."""
    text = _US_PHONE.sub(_us_phone, text)
    text = _WORLD.sub(lambda m: _world(m) or m[0], text)
    text = _ZERO.sub(lambda m: _groups(m["groups"]) if len(spell(m[0]).split()) > 6 else m[0], text)
    text = _GROUPS.sub(lambda m: _groups(m[0]), text)
    text = _LOCAL.sub(lambda m: f"{spell(m[1])}, {spell(m[2])}", text)
    text = _CODE.sub(lambda m: m["lead"] + _groups(m["digits"]), text)
    if (called := _CALL.sub(lambda m: m["lead"] + spell(m["digits"]), text)) != text:
        text = _NEXT_CALL.sub(lambda m: (m["o"] or "") + spell(m["digits"] or m["d"]), called)
    text = _EMERGENCY.sub(lambda m: spell(m[0]), text)
    text = _STATE_ZIP.sub(lambda m: spell(m[1]) + (f", {spell(m[2])}" if m[2] else ""), text)
    text = _ROOM.sub(lambda m: m["lead"] + in_pairs(m["digits"]), text)
    text = _VERSION.sub("version ", text)
    return _DOTTED.sub(lambda m: " point ".join(number(part) for part in m[0].split(".")), text)


def _us_phone(match: re.Match[str]) -> str:
    area = match["area"] or match["area2"] or match["area3"]
    country = match["country"] or match["toll"]
    groups = [f"{'plus ' if match['plus'] else ''}one"] if country else []
    groups.append(_toll_free(area) if country else spell(area))
    if match["words"]:
        groups.append(match["words"].replace("-", " ").capitalize())
    else:
        groups += [spell(match["mid"]), spell(match["last"]) or match["last"].capitalize()]
    return ", ".join(groups)


def _toll_free(digits: str) -> str:
    return number(digits) if digits.endswith("00") else spell(digits)


def _world(match: re.Match[str]) -> str | None:
    groups = re.findall(r"\d+", match["groups"])
    return f"plus {', '.join(map(spell, groups))}" if sum(map(len, groups)) >= 8 else None


def _groups(written: str) -> str:
    groups = re.findall(r"\d+", written)
    if all(len(group) == 1 for group in groups):
        return spell(written)
    words = [spell(group) for group in groups]
    if groups[0] == "0800":
        words[0] = "zero eight hundred"
    return ", ".join(words)
