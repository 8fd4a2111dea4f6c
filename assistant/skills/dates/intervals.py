"""How long it is between two days."""

import calendar
from datetime import date


def span(first: date, last: date, unit: str) -> str:
    """From one day to a later one: "25 days", "3 weeks and 4 days", "2 months and 1 day", "5 years"."""
    days = (last - first).days
    months = 12 * (last.year - first.year) + last.month - first.month
    months -= _months_after(first, months) > last
    if unit == "week":
        parts = [(days // 7, "week"), (days % 7, "day")]
    elif unit == "month":
        parts = [(months, "month"), ((last - _months_after(first, months)).days, "day")]
    elif unit == "year" and months:
        parts = [(months // 12, "year"), (months % 12, "month")]
    else:
        parts = [(days, "day")]
    return " and ".join(_count(many, of) for many, of in parts if many)


def _months_after(of: date, months: int) -> date:
    years, month = divmod(of.month - 1 + months, 12)
    length = calendar.monthrange(of.year + years, month + 1)[1]
    return date(of.year + years, month + 1, min(of.day, length))


def _count(many: int, unit: str) -> str:
    return f"{many:,} {unit}{'' if many == 1 else 's'}"


def hours(minutes: int) -> str:
    """Minutes as hours: "3 hours", "5 hours and 30 minutes"."""
    parts = [(minutes // 60, "hour"), (minutes % 60, "minute")]
    return " and ".join(_count(many, of) for many, of in parts if many)
