"""Days of the year that have a name."""

from datetime import date, timedelta

# A name and its rule: month-day; or month, weekday (Monday is 0) and which of them (-1 is the last), then
# days after that; or days after Easter. Last, what else it is called. Apostrophes do not matter.
_EVERYWHERE = """
    New Year's Day = 01-01: new year, the new year, new years
    Groundhog Day = 02-02:
    Valentine's Day = 02-14: valentines
    Saint Patrick's Day = 03-17: st patricks day, st patricks, st pattys day, st paddys day
    April Fools' Day = 04-01: april fools, april fool day
    Earth Day = 04-22:
    Cinco de Mayo = 05-05:
    Halloween = 10-31:
    All Saints' Day = 11-01:
    Bonfire Night = 11-05: guy fawkes night, guy fawkes day, guy fawkes
    Remembrance Day = 11-11:
    Christmas Eve = 12-24: xmas eve
    Christmas = 12-25: christmas day, xmas
    Boxing Day = 12-26:
    New Year's Eve = 12-31: new year eve
    Father's Day = 6 6 3:
    Mother's Day = 5 6 2:
    Labor Day = 9 0 1: labour day
    Black Friday = 11 3 4 1:
    Cyber Monday = 11 3 4 4:
    Mardi Gras = easter -47: fat tuesday, shrove tuesday, pancake day
    Ash Wednesday = easter -46:
    Palm Sunday = easter -7:
    Good Friday = easter -2:
    Easter = easter 0: easter sunday
    Easter Monday = easter 1:
    Pentecost = easter 49: whit sunday
"""
_OF_COUNTRIES = {
    "US": """
    Martin Luther King Day = 1 0 3: martin luther king jr day, mlk day
    Presidents' Day = 2 0 3: presidents day
    Memorial Day = 5 0 -1:
    Juneteenth = 06-19:
    Independence Day = 07-04:
    Columbus Day = 10 0 2: indigenous peoples day
    Veterans Day = 11-11:
    Thanksgiving = 11 3 4: thanksgiving day
    """,
    "CA": """
    Canada Day = 07-01:
    Thanksgiving = 10 0 2: thanksgiving day
    """,
    "GB": """
    Mother's Day = easter -21: mothering sunday
    """,
}


def holidays(country: str) -> dict[str, tuple[str, str]]:
    """By each name, in lower case without apostrophes: how it is written, and its rule for `on`."""
    named: dict[str, tuple[str, str]] = {}
    for line in filter(str.strip, (_EVERYWHERE + _OF_COUNTRIES.get(country, "")).splitlines()):
        definition, _, others = line.partition(":")
        name, rule = (part.strip() for part in definition.split(" = "))
        named[name.casefold().replace("'", "")] = name, rule
        named |= {other.strip(): (name, rule) for other in others.split(",") if other.strip()}
    return named


def on(rule: str, year: int) -> date:
    """When that is in a year."""
    if "-" in rule and " " not in rule:
        return date.fromisoformat(f"{year:04d}-{rule}")
    if rule.startswith("easter"):
        return easter(year) + timedelta(int(rule.split()[1]))
    month, weekday, which, after = (int(part) for part in f"{rule} 0".split()[:4])
    if which > 0:
        first = date(year, month, 1)
        found = first + timedelta((weekday - first.weekday()) % 7 + 7 * (which - 1))
    else:
        last = date(year, month + 1, 1) - timedelta(1)
        found = last - timedelta((last.weekday() - weekday) % 7)
    return found + timedelta(after)


def easter(year: int) -> date:
    """Easter Sunday of the western churches from 1583 on; the algorithm of Nature 13 (1876), page 487."""
    century, of_century = divmod(year, 100)
    leap_centuries, rest = divmod(century, 4)
    correction = (century - (century + 8) // 25 + 1) // 3
    moon = (19 * (year % 19) + century - leap_centuries - correction + 15) % 30
    weekday = (32 + 2 * rest + 2 * (of_century // 4) - moon - of_century % 4) % 7
    late = (year % 19 + 11 * moon + 22 * weekday) // 451
    month, day = divmod(moon + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)
