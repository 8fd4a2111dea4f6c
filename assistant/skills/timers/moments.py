"""Which moment a spoken time means now, and how a moment is said."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta

from assistant.skills.timers.figures import MONTHS
from assistant.skills.timers.spans import listed
from assistant.skills.timers.times import EVERY_DAY, WEEKDAYS, WEEKEND, WORKDAYS, Clock, Part, When

_USUAL: dict[Part, int] = {"": 9, "morning": 9, "afternoon": 15, "evening": 18, "night": 20}
"""The hour that is meant where none is said."""
_DAY = 6
"""The hour before which nobody is to be reminded of anything, unless it is said so."""
_COMMON_DAYS = {EVERY_DAY: "every day", WORKDAYS: "every weekday", WEEKEND: "on weekends"}


def moment(said: When, now: datetime, *, early: bool) -> datetime | None:
    """The next moment that is meant, in the time zone of `now`; None if it is over or unclear.

    Where either half of a day may be meant, it is the next; of a day that is not today the morning, from 4
    o'clock on. What is not `early` is never meant for the night; on other days 6 is in the afternoon.
    """
    if said.span:
        that_day = _real(now + timedelta(said.span.days)) if said.span.days else now  # a sum loses the fold
        return _after(that_day, timedelta(seconds=said.span.total_s, days=-said.span.days))
    if said.clock is None and (said.day in ("", "today") and not said.part):
        return None
    after = now.timestamp()
    for day in _dates(said, now.date()):
        hours = _hours(said, early=early, any_half=not said.day or (day == now.date() and not said.days))
        minute = said.clock.minute if said.clock else 0
        for found in sorted((at for hour in hours for at in _at(day, hour, minute, now)), key=_instant):
            at_night = not early and len(hours) > 1 and found.hour < _DAY <= now.hour
            if found.timestamp() > after and not at_night:
                return found
    return None


def is_meant(said: When, at: datetime, now: datetime) -> bool:
    """Whether a moment is one that is known by these words: "the 7 o'clock", "tomorrow's"."""
    if said.day and at.date() != next(_dates(said, now.date()), None):
        return False
    if said.part and _part_of(at) != said.part and said.day != "tonight":
        return False
    return said.clock is None or (
        at.hour in [hour % 24 for hour in said.clock.hours] and at.minute == said.clock.minute
    )


def day_slot(said: When, at: datetime) -> str:
    """The day as it was said; a date with its month and year."""
    return at.date().isoformat() if said.day.startswith("-") else said.day


def again(hour: int, minute: int, days: str, now: datetime) -> datetime:
    """The next time at which the clock shows it on one of the weekdays `days` ("0" is Monday)."""
    clock = Clock(hour, minute, "am" if hour < 12 else "pm") if hour else Clock(0, minute)
    found = moment(When(days=days, day="again", clock=clock), now, early=True)
    assert found is not None, "each weekday comes within a week"
    return found


def _dates(said: When, today: date) -> Iterator[date]:
    """The days that it may be, in order."""
    if said.days:
        ahead = (today + timedelta(days) for days in range(8))
        yield from (day for day in ahead if str(day.weekday()) in said.days)
    elif said.day[:1].isdigit():
        yield date.fromisoformat(said.day)
    elif said.day.startswith("-"):
        yield from _calendar(said.day, today)
    elif (weekday := said.day.split(" ")[-1].replace("weekend", "saturday")) in WEEKDAYS:
        to_go = (WEEKDAYS.index(weekday) - today.weekday()) % 7
        if said.day.startswith("next "):  # that of the week that begins on the next Monday
            to_go = 7 - today.weekday() + WEEKDAYS.index(weekday)
        yield from (today + timedelta(to_go), today + timedelta(to_go + 7))
    elif said.day:
        yield today + timedelta({"tomorrow": 1, "the day after tomorrow": 2}.get(said.day, 0))
    else:
        yield from (today + timedelta(days) for days in range(3))


def _calendar(said: str, today: date) -> Iterator[date]:
    """The dates of a day of a month, with the month or without, within the next four years."""
    *month, day = (int(number) for number in said.lstrip("-").split("-"))
    months = month or range(1, 13)
    for year in range(today.year, today.year + 5):
        for number in months:
            try:
                found = date(year, number, day)
            except ValueError:
                continue
            if found >= today:
                yield found


def _hours(said: When, *, early: bool, any_half: bool) -> tuple[int, ...]:
    """The hours that may be meant; 24 and more are those of the night that follows."""
    if said.clock is None:
        return (_USUAL[said.part],)
    hours = said.clock.hours
    if said.part and len(hours) > 1:
        first, second = hours
        if said.part == "morning":
            return (first,)
        if said.part == "night":
            return (first + 24,) if first < 5 else (second,)
        return (second + 12 if first == 0 and said.part == "evening" else second,)
    if said.part == "night" and hours[0] < 5:
        return (hours[0] + 24,)
    if any_half or len(hours) == 1:
        return hours
    return (hours[0],) if hours[0] >= (4 if early else 7) else (hours[1],)


def _at(day: date, hour: int, minute: int, now: datetime) -> Iterator[datetime]:
    """When clocks show it on that day; twice where they are put back over it, later where it is left out."""
    wall = datetime.combine(day + timedelta(hour // 24), time(hour % 24, minute), now.tzinfo)
    for fold in (0, 1):
        found = _real(wall.replace(fold=fold))
        if fold == 0 or (found.replace(tzinfo=None) == wall.replace(tzinfo=None) and found.fold):
            yield found


def _instant(at: datetime) -> float:
    return at.timestamp()


def _real(at: datetime) -> datetime:
    """As a clock would show it: half past two is half past three where that hour is left out."""
    return datetime.fromtimestamp(at.timestamp(), at.tzinfo)


def _after(at: datetime, length: timedelta) -> datetime:
    return datetime.fromtimestamp(at.timestamp() + length.total_seconds(), at.tzinfo)


def clock_in_words(at: datetime) -> str:
    """A time of the day: "7 a.m.", "6:45 p.m.", "noon", "midnight"."""
    if at.minute == 0 and at.hour in (0, 12):
        return "noon" if at.hour else "midnight"
    return f"{_short(at)} {'a.m.' if at.hour < 12 else 'p.m.'}"


def _short(at: datetime) -> str:
    hour = (at.hour - 1) % 12 + 1
    return f"{hour}:{at.minute:02}" if at.minute else f"{hour}"


def moment_in_words(at: datetime, now: datetime) -> str:
    """A moment in full: "6:45 this evening", "7 tomorrow morning", "noon on March 5th"."""
    days = (at.date() - now.date()).days
    if days in (0, 1):
        if at.minute == 0 and at.hour in (0, 12):
            return (
                f"{clock_in_words(at)} {('today', 'tomorrow')[days]}"
                if at.hour
                else f"midnight{_night(days)}"
            )
        if at.hour == 0 or (days == 0 and at.hour >= 21):
            return f"{_short(at)} tonight"
        return f"{_short(at)} {('this', 'tomorrow')[days]} {_part_of(at)}"
    return f"{clock_in_words(at)} {day_in_words(at.date(), now.date())}"


def _night(days: int) -> str:
    return " tonight" if days == 1 else " last night"


def _part_of(at: datetime) -> Part:
    return (
        "morning" if at.hour < 12 else "afternoon" if at.hour < 18 else "evening" if at.hour < 21 else "night"
    )


def days_in_words(days: str) -> str:
    """The weekdays on which something comes again: "every day", "every Monday and Friday"."""
    if days in _COMMON_DAYS:
        return _COMMON_DAYS[days]
    return f"every {listed([WEEKDAYS[int(day)].capitalize() for day in days])}"


def day_in_words(day: date, today: date) -> str:
    """A day: "yesterday", "today", "tomorrow", "on Monday", "on March 5th"."""
    days = (day - today).days
    if -1 <= days <= 1:
        return ("today", "tomorrow", "yesterday")[days]
    if 1 < days < 7:
        return f"on {WEEKDAYS[day.weekday()].capitalize()}"
    ending = "th" if day.day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day.day % 10, "th")
    return f"on {MONTHS[day.month - 1].capitalize()} {day.day}{ending}"
