"""Conversions between units of measurement; "and in feet?" goes on from the last of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation, Value
from assistant.skills.sums.cooking import DENSITIES, LIQUIDS
from assistant.skills.sums.measured import Measured, measured
from assistant.skills.sums.measures import Measures, name
from assistant.skills.sums.numbers import rounded, spoken

_THAT = ("that", "it", "this", "those")
_LONG = ("decades", "centuries", "millennia")  # have no certain number of days
_CALENDAR = ("years", "months", *_LONG)


@dataclass(frozen=True)
class _Conversion:
    parts: tuple[tuple[Fraction, str], ...]
    """So much of which unit; more than one of "5 feet 10 inches"."""
    to: str
    of: str = ""
    weighed: bool = False
    """By what a cup of it weighs, so never exactly."""


class Units:
    """Convert{value, from, to, of}: `of` is an ingredient, for what a cup of it weighs."""

    def __init__(self, services: Services) -> None:
        self._measures = Measures(services.country)

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """See `Skill`."""
        return (our_own("units"),)

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """See `Skill`."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        before = situation.before
        last = _last(before.slots) if before and before.name == "Convert" else None
        conversion = self._conversion(intent.slots, last)
        if conversion is None:
            return None
        meant = Intent("Convert", self._slots(conversion), intent.text)
        return Answer(_said(conversion, self._result(conversion)), intent=meant)

    def _conversion(self, slots: Mapping[str, Value], last: _Conversion | None) -> _Conversion | None:
        """What is asked for, with what it leaves out taken from `last`."""
        what = str(slots.get("weighed", slots.get("measure", "that")))
        to = measured(str(slots.get("to", "grams" if "weighed" in slots else "")), self._measures)
        given = measured(what, self._measures)
        if given and not given.units:
            given = Measured(given.values, self._of_number(last), last.of if last else "")
        elif last and what in _THAT:
            given = _again(last)
        elif last and last.of and what in DENSITIES:
            given = replace(_again(last), of=what)
        elif last and given and not given.counted and not to:
            given, to = _again(last), given
        if given is None or (to and to.counted):
            return None
        if to is None and last and "to" not in slots:
            to = Measured((Fraction(1),), ((last.to,),), given.of or last.of)
        return self._meant(given, to) if to and len(to.units) == 1 else None

    def _of_number(self, last: _Conversion | None) -> tuple[Sequence[str], ...]:
        """The units of a number that has none: the last ones, or else degrees."""
        if last:
            return (last.parts[-1][1:],)
        degrees = self._measures.unit_at(["degrees"], 0)
        assert degrees is not None, "degrees are among the units"
        return (degrees[0],)

    def _meant(self, given: Measured, to: Measured) -> _Conversion | None:
        """With the first meanings of all units that measure the same: ounces are of weight or of volume."""
        of = given.of or to.of
        if to.of not in ("", of):
            return None
        for weighed, meanings in product((False, True), product(*given.units, to.units[0])):
            *units, target = meanings
            conversion = _Conversion(tuple(zip(given.values, units, strict=True)), target, of, weighed)
            if set(units) != {target} and _sensible(conversion) and self._measures_same(conversion):
                return conversion
        return None

    def _measures_same(self, conversion: _Conversion) -> bool:
        return all(self._part(value, unit, conversion) is not None for value, unit in conversion.parts)

    def _result(self, conversion: _Conversion) -> Fraction:
        parts = (self._part(value, unit, conversion) for value, unit in conversion.parts)
        return sum((part for part in parts if part is not None), Fraction(0))

    def _part(self, value: Fraction, unit: str, conversion: _Conversion) -> Fraction | None:
        """How much one part is; None if its unit measures something else."""
        convert, to = self._measures.converted, conversion.to
        if not conversion.weighed:
            return convert(value, unit, to)
        density = DENSITIES.get(conversion.of)
        if density is None:
            return None
        if (volume := convert(value, unit, "milliliters")) is not None:
            return convert(volume * density, "grams", to)
        weight = convert(value, unit, "grams")
        return None if weight is None else convert(weight / density, "milliliters", to)

    def _slots(self, conversion: _Conversion) -> dict[str, Value]:
        """The last unit of several stands for all: 5 feet 10 inches is 70 inches."""
        unit = conversion.parts[-1][1]
        value = self._result(replace(conversion, to=unit, weighed=False))
        slots: dict[str, Value] = {"value": int(value) if value.denominator == 1 else float(value)}
        slots |= {"from": unit, "to": conversion.to}
        return slots | ({"of": conversion.of} if conversion.of else {})


def _sensible(conversion: _Conversion) -> bool:
    units = {conversion.to, *(unit for _, unit in conversion.parts)}
    if "sticks" in units and conversion.of != "butter":
        return False
    if "fluid_ounces" in units and conversion.of and conversion.of not in LIQUIDS:
        return False
    return not units & set(_LONG) or units <= set(_CALENDAR)


def _again(last: _Conversion) -> Measured:
    values, units = zip(*last.parts, strict=True)
    return Measured(values, tuple((unit,) for unit in units), last.of)


def _last(slots: Mapping[str, Value]) -> _Conversion:
    value = Fraction(str(slots["value"])).limit_denominator(10**6)
    return _Conversion(((value, str(slots["from"])),), str(slots["to"]), str(slots.get("of", "")))


def _said(conversion: _Conversion, result: Fraction) -> str:
    given = " ".join(_given(value, unit) for value, unit in conversion.parts)
    of = f" of {conversion.of}" if conversion.of else ""
    text = f"{given}{of} is {_result_said(result, conversion)} {name(conversion.to, result)}"
    feet, inches = divmod(rounded(result * 12), 12)
    if conversion.to == "feet" and 3 <= result < 8 and (result * 12).denominator > 1:
        text += f", or {feet} feet {inches} {name('inches', Fraction(inches))}"
    return f"{text[0].upper()}{text[1:]}."


def _given(value: Fraction, unit: str) -> str:
    if 0 < value < 1 and value.denominator in (3, 6, 7, 9):
        return f"{value} {name(unit, Fraction(1))}"
    return f"{spoken(value)} {name(unit, value)}"


def _result_said(result: Fraction, conversion: _Conversion) -> str:
    """Exact where that is short; never where it is weighed."""
    if conversion.weighed:
        return f"about {spoken(result, exact=1, places=0 if result >= 10 else 1).removeprefix('about ')}"
    exact, places = 2 if abs(result) >= 1 else 4, 1 if abs(result) >= 10 else 2
    return spoken(result, exact=exact, places=places, longest=10**12)
