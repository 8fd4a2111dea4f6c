"""Quantities: numbers with their sign, range, magnitude, currency or unit."""

import re
from functools import cache

from tts.reading.numbers import NUMBER, cardinal, in_pairs, is_year, number, ordinal, plural, year
from tts.reading.vocabulary import CURRENCIES, MAGNITUDES, PER, UNITS


def _alt(words: object) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))  # type: ignore[call-overload]


_SIGNS = _alt(key for key in CURRENCIES if not key.isalpha() and key != "Rs.")
_CODES = _alt(key for key in CURRENCIES if key.isalpha() and len(key) == 3)
_WORD_MAGNITUDE = r"\s?-?(?:hundred|thousand|million|billion|trillion|bln|bn|mln|mil|mn|tn)\b(?!\s?/)"
_MONEY = re.compile(
    rf"(?P<minus>minus )?(?:(?P<cur>(?<![A-Za-z])(?:{_SIGNS})|\b(?:{_CODES}|Rs\.?)\s?(?=[\d.]))\s?(?P<minus2>minus |-)?(?P<a>{NUMBER})(?P<mag>{_WORD_MAGNITUDE}|\s?[kKmMbBT](?![\w/]))?"
    rf"(?:\s?[-–—]\s?(?:{_SIGNS})?(?P<b>{NUMBER})(?P<magb>{_WORD_MAGNITUDE}|\s?[kKmMbBT](?![\w/]))?)?"  # noqa: RUF001
    rf"(?P<code>\s?(?:USD|EUR|GBP|AUD|CAD)\b)?"
    rf"|(?<![\w.,])(?P<a2>{NUMBER})(?P<mag2>{_WORD_MAGNITUDE}|[kKmMbB](?=\s?[$€£]))?(?:\s?[-–—]\s?(?P<b2>{NUMBER})(?P<magb2>{_WORD_MAGNITUDE}|[kKmMbB](?=\s?[$€£]))?)?"  # noqa: RUF001
    rf"\s?(?P<cur2>(?:{_SIGNS})(?!\d)|(?:{_CODES})\b|kr\b))"
    rf"(?:\s?/\s?(?P<per>{_alt(PER)})\b)?"
)
_UNIT_NAMES = [unit for unit in UNITS if unit not in ("B", "K", "in")]
_UNIT = rf"(?:{_alt(_UNIT_NAMES)})(?![\w^°])"
_MEASURE = re.compile(
    rf"(?<![\w.,])(?P<a>{NUMBER})(?P<mag>{_WORD_MAGNITUDE}|(?:k|(?<=\d\d)K|(?<=\d\.\d)K|M)(?![\w/])|(?<=\d\.\d)B(?!\w))?(?P<mid>\s?°(?:\s?[CF]\b)?|%|\s?{_UNIT})?"
    rf"(?:(?P<sep>\s?[-–—]\s?(?:to\s?-?)?|\sto\s|\sby\s)(?P<minus>minus |[-−])?(?P<b>{NUMBER})(?P<magb>{_WORD_MAGNITUDE}|(?:k|(?<=\d\d)K|M)(?![\w/])|(?<=\d\.\d)B(?!\w))?)?"  # noqa: RUF001
    rf"(?:[ -]?(?P<unit>{_UNIT})|(?P<space> )?(?P<odd>K(?!\w)|in(?=\.\s?[a-z]|\.$|\s(?:x|by)\b)|B(?=ps)|A(?=\s(?:fuse|breaker|circuit|charger|current)\b)))?"
    rf"(?:\s?/\s?(?P<per>{_alt(PER)})(?![\w^]))?(?P<dot>\.(?=\s[a-z]))?"
)
_FEET = re.compile(r"(?<![\w.,/])(?P<ft>\d{1,3})\s?(?:'|ft\.?|feet|foot) ?(?P<in>\d{1,2}(?:\.\d+)?)(?: (?P<half>1/2))?\s?(?:\"|''|”|in\b\.?|inches\b)?(?![\w'])")
_FEET_ALONE = re.compile(r"(?<![\w.,/'])(?P<a>\d{1,5}(?:\.\d+)?)'(?=[\s.,;:x?!)-]|$)(?P<adj>-)?")
_INCHES = re.compile(r"(?<![\w.,/])(?P<a>\d{1,4}(?:\.\d+)?|\d+[ -]\d/\d{1,2}|\d/\d{1,2})(?:\"|”|'')(?P<adj>-)?")
_FRACTION = re.compile(r"(?<![\w./,])(?:(?P<whole>\d{1,4})[ -]{1,2})?(?P<a>\d{1,3})/(?P<b>\d{1,4})(?P<th>th|ths|rd|rds|nd)?(?![\w/]|\.\d)")
_RATED = re.compile(r"\b(?:rat(?:e|ed|ing)|scor(?:e|ed|ing)|g[ae]ve|got|review|grade|pain|stars?)\b", re.IGNORECASE)
_TWICE = re.compile(r"(?<![\w/])(24/7/365|24/7|9/11|50/50|20/20)(?![\w/])")
_RANGE = re.compile(rf"(?<![\w.,-])(?P<a>{NUMBER})\s?[-–—]\s?(?P<b>{NUMBER})(?P<s>'?s\b)?(?![\w-])")  # noqa: RUF001
_ORDINAL = re.compile(r"(?<![\w.,])(\d{1,3}(?:,\d{3})+|\d+)(?:-)?(st|nd|rd|th)(s)?\b(?:(?P<to>\s?[-–]\s?)(?=\d))?", re.IGNORECASE)  # noqa: RUF001
_PLURAL = re.compile(r"(?<![\w.,])(\d{1,3})'?s\b")
_DEGREES_AND = re.compile(r"(?<=degrees )(\d{1,2})'(?: ?(\d{1,2}(?:\.\d+)?)\")?")
_COMPASS = re.compile(r"(?<=degrees )([NSEW])\b|(?<=minutes )([NSEW])\b|(?<=seconds )([NSEW])\b")
_DEGREES = re.compile(r"°\s?(?=[NSEW]\b)|°\s?(?=\d)")
_ADJECTIVE = re.compile(r"\b(?:[Aa]n?|[Tt]h(?:e|is|at)|[Mm]y|[Yy]our|[Hh]is|[Hh]er|[Oo]ur|[Ee]very|[Ee]ach|[Aa]nother|[Oo]ne|new|old|big|small) $")
_NOT_NOUN = frozenset(
    """a an the and or but is are was were be been am to of in on at by for from with per each more less than as if so that this it we you
    i he she they do does did has have had can could will would may might must not now then when while which who off out up down into
    over under before after away long high tall wide deep thick old ago later earlier apart total today tomorrow yesterday each
    every because since until only just about all both there here""".split()
)
_LINES = re.compile(r"(?<![\w.,])(480|720|1080|1440|2160)p\b")
_HYPHEN = re.compile(r"(?<=[A-Za-z])-(?=\d)|(?<=\d)-(?=[A-Za-z\d])")
_ANY = re.compile(rf"(?:{NUMBER})")
_COUNTED = re.compile(r"\s(?:of )?(?!was\b|is\b|has\b|as\b|this\b|its\b|his\b|us\b|does\b|always\b|perhaps\b|towards\b|besides\b|sometimes\b|yes\b|plus\b)(?:[a-z]+ )?(?:[a-z]{2,}(?<!s)s|people|men|women|children)\b")
_POSITION = re.compile(r"(?:\b(?:in|since|of|by|until|till|from|before|after|during|year|around|circa|early|late|mid|and|to|than|ad|spring|summer|autumn|fall|winter)|[(©])[ -]?$", re.IGNORECASE)


def read_money(text: str) -> str:
    """`text` with its amounts of money in words: "$10-$15" is "ten to fifteen dollars"."""
    return _MONEY.sub(_money, text) if _HAS_MONEY.search(text) else text


_HAS_MONEY = re.compile(rf"{_SIGNS}|\b(?:{_CODES})\b|\dkr\b|\d kr\b|\bRs")


def _money(match: re.Match[str]) -> str:
    first, second = match["a"] or match["a2"], match["b"] or match["b2"]
    currency = (match["code"] or match["cur"] or match["cur2"]).strip()
    if match["code"] and match["cur"].strip() != "$":
        currency = match["cur"].strip()
    names = CURRENCIES[currency]
    if currency == "USD" and match["code"] is None and match["cur"] is None:
        names = CURRENCIES["$"] if re.search(r"\$", match.string) else names
    magnitude, magnitude_b = _magnitude(match["mag"] or match["mag2"]), _magnitude(match["magb"] or match["magb2"])
    sign = "minus " if match["minus"] or match["minus2"] else ""
    per = f" per {PER[match['per']]}" if match["per"] else ""
    if second is None and not magnitude and len(names) == 4 and re.fullmatch(r"[\d, ]*\.\d\d", first):
        return sign + _with_cents(first, names) + per
    words = number(first) + magnitude
    if second is not None:
        words += f" to {number(second)}{magnitude_b}"
    one = (second is None and first == "1" and not magnitude) or _is_adjective(match)
    return f"{sign}{words} {names[0] if one else names[1]}{per}"


def _with_cents(amount: str, names: tuple[str, ...]) -> str:
    whole, cents = re.sub(r"[, ]", "", amount).split(".")
    units, parts = int(whole or 0), int(cents)
    main = f"{cardinal(units)} {names[0] if units == 1 else names[1]}"
    rest = f"{cardinal(parts)} {names[2] if parts == 1 else names[3]}"
    if not parts:
        return main
    return rest if not units else f"{main} and {rest}"


def _magnitude(written: str | None) -> str:
    return f" {MAGNITUDES[written.strip(' -')]}" if written else ""


def _is_adjective(match: re.Match[str]) -> bool:
    """Whether the quantity stands between an article and a noun: "a $5 bill", "a 10 km run"."""
    following = re.match(r"[ -]([a-z][a-z'-]*)", match.string[match.end() :])
    return bool(
        following
        and following[1] not in _NOT_NOUN
        and not following[1].endswith(("ly", "ing"))
        and _ADJECTIVE.search(match.string[: match.start()])
    )


def read_fractions(text: str) -> str:
    """`text` with its fractions in words: "1 1/2" is "one and a half", "7/16" is "seven sixteenths"."""
    if "/" not in text:
        return text
    text = _TWICE.sub(lambda m: " ".join(cardinal(int(part)) for part in m[1].split("/")), text)
    return _FRACTION.sub(_fraction, text)


def _fraction(match: re.Match[str]) -> str:
    above, below = int(match["a"]), int(match["b"])
    whole = match["whole"]
    if whole and not 0 < above < below:
        return match[0]
    if not whole and _RATED.search(match.string[: match.start()]) and below in (4, 5, 6, 10, 20, 100):
        return f"{cardinal(above)} out of {cardinal(below)}"
    if not 0 < above < below:
        return f"{cardinal(above)} over {cardinal(below)}"
    part = {2: "half", 4: "quarter"}.get(below) or ordinal(below)
    if whole:
        article = "an" if part[0] == "e" else "a"
        return f"{cardinal(int(whole))} and " + (f"{article} {part}" if above == 1 else f"{cardinal(above)} {plural(part)}")
    return f"{cardinal(above)} {part if above == 1 else plural(part)}"


def read_measures(text: str) -> str:
    """`text` with measures, ranges, ordinals and all other numbers in words."""
    if "'" in text or '"' in text or "”" in text or "ft" in text or "feet" in text:
        text = _read_feet(text)
    text = _ORDINAL.sub(lambda m: ordinal(int(m[1].replace(",", ""))) + ("s" if m[3] else "") + (" to " if m["to"] else ""), text)
    text = _RANGE.sub(_range, text) if re.search(r"\d\s?[-–—]\s?\d", text) else text  # noqa: RUF001
    text = _DEGREES.sub(" degrees ", _MEASURE.sub(_measure, text)) if _MEASURED.search(text) else text
    if "degrees" in text:
        text = _DEGREES_AND.sub(lambda m: f"{m[1]} minutes" + (f" {m[2]} seconds" if m[2] else ""), text)
        text = _COMPASS.sub(lambda m: {"N": "north", "S": "south", "E": "east", "W": "west"}[m[1] or m[2] or m[3]], text)
    text = _PLURAL.sub(lambda m: plural(cardinal(int(m[1]))), text)
    text = _LINES.sub(lambda m: f"{in_pairs(m[1])} P", text)
    return _ANY.sub(_plain, _HYPHEN.sub(" ", text))


_MEASURED = re.compile(rf"\d(?:\s?(?:{_UNIT})|[kKMBp]\b|\s?K\b| ?in\b|A\b| A |{_WORD_MAGNITUDE}|/[a-z]|\s?/\s?[a-z])")


def _read_feet(text: str) -> str:
    def open_quote(match: re.Match[str], sign: str) -> bool:
        before = match.string[: match.start()]
        opened = before.count('"') % 2 or before.count("“") > before.count("”")
        return bool(opened) if sign == '"' else bool(re.search(r"(?<!\w)'(?!\d0s)", before))

    text = _FEET.sub(
        lambda m: m[0]
        if not re.search(r"['\"”]|in\b|inches|ft", m[0])
        else f"{_counted(m['ft'], 'foot', 'feet' if m[0][len(m['ft']) :].lstrip()[0] == 'f' else 'foot')} "
        f"{number(m['in'])}{' and a half' if m['half'] else ''}"
        + (f" inch{'' if m['in'] == '1' else 'es'}" if re.search(r"in\b\.?$|inches$", m[0]) else ""),
        text,
    )
    text = _INCHES.sub(lambda m: m[0] if open_quote(m, '"') else _inches(m), text)
    return _FEET_ALONE.sub(lambda m: m[0] if open_quote(m, "'") else _length(m, "foot", "feet"), text)


def _inches(match: re.Match[str]) -> str:
    return _length(match, "inch", "inches")


def _length(match: re.Match[str], one: str, many: str) -> str:
    amount = read_fractions(match["a"])
    words = amount if not amount[0].isdigit() else number(amount)
    single = match["a"] == "1" or match["adj"] or _is_adjective(match)
    return f"{words} {one if single else many}" + (" " if match["adj"] else "")


def _counted(amount: str, one: str, many: str) -> str:
    return f"{number(amount)} {one if amount == '1' else many}"


def _range(match: re.Match[str]) -> str:
    """Two numbers with a dash: both years if the first is one, and else left as numbers."""
    first, second = match["a"], match["b"]
    unit_follows = re.match(rf"\s?(?:{_UNIT})", match.string[match.end() :])
    if is_year(first) and not unit_follows:
        second_words = year(int(second)) if is_year(second) else number(second)
        if len(second) == 2 and second.isdigit():
            second_words = number(second) if second[0] != "0" else f"oh {cardinal(int(second))}"
        return f"{year(int(first))} to {plural(second_words) if match['s'] else second_words}"
    return f"{first} to {second}{match['s'] or ''}"


def _measure(match: re.Match[str]) -> str:
    unit, odd, per = match["unit"], match["odd"], match["per"]
    second = match["b"]
    if odd == "K" and not match["space"]:
        return match[0]
    if not (match["mag"] or match["mid"] or match["magb"] or unit or odd or per):
        return match[0]
    if per and not (unit or odd or match["mid"]) and len(per) == 1:
        return match[0]
    bare_mid = (match["mid"] or "").replace("° ", "°").strip()
    words = number(match["a"]) + _magnitude(match["mag"])
    if second is None:
        names = _names(bare_mid or unit or odd)
        return words + _suffix(match, names, match["a"] == "1" and not match["mag"], per)
    last = ("minus " if match["minus"] else "") + number(second) + _magnitude(match["magb"])
    joint = " by " if "by" in match["sep"] else " to "
    names = _names(unit or odd)
    if bare_mid and bare_mid != unit:
        words += _suffix_words(_names(bare_mid), match["a"] == "1")
    if not names and bare_mid and not match["magb"]:
        return f"{words}{joint}{last}" + (f" per {PER[per]}" if per else "") + (match["dot"] or "")
    return f"{words}{joint}{last}" + _suffix(match, names, False, per)


def _suffix(match: re.Match[str], names: tuple[str, ...], one: bool, per: str | None) -> str:
    adjective = bool(names) and match["b"] is None and _is_adjective(match)
    words = _suffix_words(names, one or adjective) + (f" per {PER[per]}" if per else "")
    return words + ("" if names or not match["dot"] else match["dot"])


def _suffix_words(names: tuple[str, ...], one: bool) -> str:
    return f" {names[0] if one else names[1]}" if names else ""


@cache
def _names(unit: str | None) -> tuple[str, ...]:
    if not unit:
        return ()
    unit = unit.strip()
    if unit in ("in", "A", "B"):
        return {"in": ("inch", "inches"), "A": ("amp", "amps"), "B": ("byte", "bytes")}[unit]
    names = tuple(name.strip() for name in UNITS[unit].split(","))
    return names if len(names) == 2 else (names[0], plural(names[0]) if names[0] != "hertz" else names[0])


def _plain(match: re.Match[str]) -> str:
    """A number without anything: a year where it can be one and does not count what follows."""
    before, after = match.string[: match.start()], match.string[match.end() :]
    counted = _COUNTED.match(after) and not _POSITION.search(before)
    words = number(match[0], may_be_year=not counted)
    glued_before = " " if before[-1:].isalnum() else ""
    glued_after = " " if after[:1].isalpha() else ""
    return glued_before + words + glued_after
