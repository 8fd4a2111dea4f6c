"""Times of day, dates, years and decades."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

import re

from tts.reading.numbers import cardinal, ordinal, plural, year
from tts.reading.vocabulary import MONTH_OF, MONTHS

_DASH = r"\s?[-–—−]\s?"
_HALF = r"(?P<half>[AaPp])\.?\s?[Mm]\b(?:\.(?!\w))?"
_HALF_FIRST = r"(?:\s?(?P<first>[AaPp])\.?[Mm]\b\.?)?"
_CLOCK = re.compile(
    rf"(?<![\d:.,])(?P<h>\d{{1,2}}):(?P<m>\d{{2}})(?::(?P<s>\d{{2}})(?:\.\d+)?Z?)?(?:\s?{_HALF})?(?!\d|:\d)"
    rf"(?P<to>{_DASH}(?=\d{{1,2}}(?::\d\d|\s?[AaPp]\.?[Mm])))?"
)
_HOURS = re.compile(
    rf"(?<![\w:.,$€£-])(?P<a>\d{{1,2}}){_HALF_FIRST}{_DASH}(?P<b>\d{{1,2}})(?P<min>:\d\d)?\s?{_HALF}"
)
_HOUR = re.compile(rf"(?<![\w:.,])(?P<h>\d{{1,2}})(?:\s?{_HALF})(?! I\b)(?P<to>{_DASH}(?=\d))?")
_ZONE = re.compile(r"(?<=[a-zM.] )(E[SD]T|P[SD]T|C[SD]T|M[SD]T|GMT|UTC|CES?T|BST|IST|JST|ET|PT)\b")
_RATIO = re.compile(r"(?<![\d:.])(\d{1,4}):(\d{1,4})(?![\d:])")

_MONTH = (
    r"(?:January|February|March|April|May|June|July|August|September|October|November|December|Jan|Feb"
    r"|Mar|Apr|Jun|Jul|Aug|Sept|Sep|Oct|Nov|Dec)\b\.?"
)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_ISO = re.compile(
    r"(?<![\w-])(?P<y>\d{4})(?P<sep>[-/])(?P<m>\d{2})(?P=sep)(?P<d>\d{2})(?:(?P<time>T)(?=\d\d:)|(?![\w/-]))"
)
_SLASHES = re.compile(
    r"(?<![\w/.])(?P<a>\d{1,2})([/.-])(?P<b>\d{1,2})\2(?P<y>\d{4}|(?<=/)\d{2})(?![\w/]|[.-]\d)"
)
_MONTH_DAY = re.compile(
    rf"\b(?P<month>{_MONTH}) (?:the )?{_DAY}(?![\w:%$€£°]|\.\d|,\d{{3}})(?:{_DASH}(?P<last>\d{{1,2}})"
    rf"(?:st|nd|rd|th)?\b(?!\.\d))?(?P<year>,? \d{{4}}\b(?!\.\d))?"
)
_DAY_MONTH = re.compile(
    rf"(?<![\w.:,/-])(?P<the>[Tt]he )?{_DAY}(?:{_DASH}(?P<last>\d{{1,2}})(?:st|nd|rd|th)?)?(?: of)? "
    rf"(?P<month>{_MONTH})(?!-)(?P<year>,? \d{{4}}\b(?!\.\d))?"
)
_MONTH_YEAR = re.compile(rf"\b(?P<month>{_MONTH}),? (?:of )?(?P<year>\d{{4}})(?![\w,]|\.\d)")
_DAY_AND_MONTH = re.compile(
    r"(?P<lead>\b(?:on|by|until|till|since|before|after|due|dated|from|to|date:) )?(?<![\w/.$€£])"
    r"(?P<m>\d{1,2})/(?P<d>\d{1,2})(?![\w/.]?[\d/=])(?P<rest> ?=)?"
)
_DENOMINATORS = frozenset((2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16, 20))
_DECADE = re.compile(
    r"(?<![\d.,$€£])(?:(?<=[a-z])(?P<hyphen>-))?(?<![a-zA-Z])'?(?P<century>1[0-9]|20)?(?P<tens>\d0)'?s\b"
)
_ERA = re.compile(r"(?<![\w.,])(?P<y>\d{1,4}) ?(?P<era>BCE?|CE|AD|B\.C\.E?\.?|A\.D\.)(?![\w])|\bAD (?=\d)")
_IN_YEAR = re.compile(r"(?<=\b[Ii]n )(?P<a>1\d{3})(?![\w,.%]?\d|\w| [a-z]+s\b)")


def read_dates(text: str) -> str:
    """`text` with dates, decades and eras in words: "3/4/2021" is "March fourth, twenty twenty one"."""
    text = _ISO.sub(lambda m: (_date(m["y"], m["m"], m["d"]) or m[0]) + (", " if m["time"] else ""), text)
    text = _SLASHES.sub(_slashes, text)
    text = _DECADE.sub(_decade, text)
    text = _ERA.sub(lambda m: f"{_era_year(m['y'])} {_dotted(m['era'])}" if m["y"] else "A.D. ", text)
    if re.search(_MONTH, text):
        text = _MONTH_DAY.sub(_month_day, text)
        text = _DAY_MONTH.sub(_day_month, text)
        text = _MONTH_YEAR.sub(lambda m: f"{_month(m['month'])} {year(int(m['year']))}", text)
    text = _DAY_AND_MONTH.sub(_day_and_month, text)
    return _IN_YEAR.sub(lambda m: year(int(m["a"])), text)


def read_times(text: str) -> str:
    """`text` with times of day in words: "10:05am" is "ten oh five A.M.", "9:00" is "nine o'clock"."""
    if ":" in text:
        text = _CLOCK.sub(_clock, text)
    text = _HOURS.sub(_hours, text)
    text = _HOUR.sub(_hour, text)
    text = _ZONE.sub(lambda m: _dotted(m[1]), text)
    return _RATIO.sub(r"\1 to \2", text) if ":" in text else text


def _clock(match: re.Match[str]) -> str:
    hour, minute = int(match["h"]), int(match["m"])
    if hour > 24 or minute > 59:
        return match[0]
    words = cardinal(hour)
    if minute:
        words += f" oh {cardinal(minute)}" if minute < 10 else f" {cardinal(minute)}"
    elif not match["half"] and not int(match["s"] or 0):
        words = {0: "midnight"}.get(hour, f"{words} o'clock" if hour <= 12 else f"{words} hundred")
    if int(match["s"] or 0):
        seconds = int(match["s"])
        words += f" and {cardinal(seconds)} second{'' if seconds == 1 else 's'}"
    return words + _half(match["half"]) + (" to " if match["to"] else "")


def _hours(match: re.Match[str]) -> str:
    first, last = int(match["a"]), int(match["b"])
    if not (1 <= first <= 12 and 1 <= last <= 12):
        return match[0]
    minutes = f" {match['min'][1:]}".replace(" 0", " oh ") if match["min"] else ""
    return f"{cardinal(first)}{_half(match['first'])} to {cardinal(last)}{minutes}{_half(match['half'])}"


def _hour(match: re.Match[str]) -> str:
    hour = int(match["h"])
    if not 1 <= hour <= 24:
        return match[0]
    return cardinal(hour) + _half(match["half"]) + (" to " if match["to"] else "")


def _half(letter: str | None) -> str:
    return f" {letter.upper()}.M." if letter else ""


def _dotted(letters: str) -> str:
    return "".join(f"{letter}." for letter in letters if letter != ".")


def _month(written: str) -> str:
    return MONTHS[MONTH_OF[written[:3].lower()] - 1]


def _date(written_year: str | None, month: str, day: str) -> str | None:
    if not (1 <= int(month) <= 12 and 1 <= int(day) <= 31):
        return None
    words = f"{MONTHS[int(month) - 1]} {ordinal(int(day))}"
    return f"{words}, {_full_year(written_year)}" if written_year else words


def _full_year(written: str) -> str:
    number = int(written)
    return year(number if len(written) > 2 else number + (1900 if number > 40 else 2000))


def _slashes(match: re.Match[str]) -> str:
    """Month first, as in American dates; day first where only that is a date, or between full stops."""
    first, second = match["a"], match["b"]
    if match[2] == "." or int(first) > 12:
        first, second = second, first
    return _date(match["y"], first, second) or _date(match["y"], second, first) or match[0]


def _month_day(match: re.Match[str]) -> str:
    if not 1 <= int(match["day"]) <= 31:
        return match[0]
    words = f"{_month(match['month'])} {ordinal(int(match['day']))}"
    if match["last"]:
        words += f" to {ordinal(int(match['last']))}"
    return words + _after_date(match)


def _day_month(match: re.Match[str]) -> str:
    if not 1 <= int(match["day"]) <= 31:
        return match[0]
    words = f"{match['the'] or 'the '}{ordinal(int(match['day']))}"
    if match["last"]:
        words += f" to the {ordinal(int(match['last']))}"
    return f"{words} of {_month(match['month'])}{_after_date(match)}"


def _after_date(match: re.Match[str]) -> str:
    return f", {year(int(match['year'].strip(', ')))}" if match["year"] else ""


def _day_and_month(match: re.Match[str]) -> str:
    """A date only where a word says so, or where the two numbers are no fraction that people use."""
    month, day = int(match["m"]), int(match["d"])
    is_fraction = day in _DENOMINATORS or day > 31 or month >= day or day <= 12
    lead = match["lead"] or ""
    known = lead and lead.strip() in ("on", "by", "until", "till", "since", "due", "dated", "date:")
    if match["rest"] or not 1 <= month <= 12 or (is_fraction and not known) or (month, day) == (9, 11):
        return match[0]
    return f"{lead}{_date(None, match['m'], match['d']) or match['m'] + '/' + match['d']}"


def _decade(match: re.Match[str]) -> str:
    return (" " if match["hyphen"] else "") + _decade_words(match)


def _decade_words(match: re.Match[str]) -> str:
    century, tens = match["century"], match["tens"]
    if tens == "00":
        if not century:
            return match[0]
        return "two thousands" if century == "20" else f"{cardinal(int(century))} hundreds"
    return (
        f"{cardinal(int(century))} {plural(cardinal(int(tens)))}" if century else plural(cardinal(int(tens)))
    )


def _era_year(written: str) -> str:
    return year(int(written)) if len(written) == 4 else cardinal(int(written))
