"""Sums, percentages, tips and shares; "times two" goes on from the last of them."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Situation
from assistant.skills.sums.amounts import Amount, amount_at
from assistant.skills.sums.exact import SumError
from assistant.skills.sums.numbers import rounded, spoken, tokens
from assistant.skills.sums.phrases import Told, told
from assistant.skills.sums.sums import evaluate

_THAT = re.compile(r"\b(?:that|it|this|the (?:result|answer))\b")
_GOES_ON = re.compile(
    r"(?:plus|minus|times|multiplied by|divided by|over|to the|(?:squared|cubed)(?! root)|doubled|halved|x)\b"
    r"|[-+*/]"
)
# Names, 9-1-1, dates, 555-1234.
_NO_SUMS = re.compile(r"24/7|9/11|7/11|50/50|20/20|7/7|\d+(?:[-/]\d+){2,}|\d{3,4}-\d+")
_LONGEST = 300  # characters of a sum
_CURRENCIES = {"dollars": "$", "pounds": "£", "euros": "€"}


class Calculator:
    """Calculate{expression, result}: `result` is exact, such as "12.6 dollars"; later sums call it "that"."""

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """See `Skill`."""
        return (our_own("calculate"),)

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """See `Skill`."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        before = situation.before
        expression = _expression(intent, before if before and before.name == "Calculate" else None)
        if expression is None or _NO_SUMS.fullmatch(expression):
            return None
        sum_told = told(expression)
        try:
            amount = evaluate(sum_told.infix)
            said = None if amount is None else _said(amount, sum_told)
        except SumError as error:
            return Answer(str(error), intent=Intent("Calculate", {"expression": expression}, intent.text))
        if amount is None or said is None:
            return None
        slots = {"expression": expression, "result": _exact(amount)}
        return Answer(said, intent=Intent("Calculate", slots, intent.text))


def _expression(intent: Intent, before: Intent | None) -> str | None:
    """The sum, with all that it needs of the one before; None if that is not there."""
    if "instead" in intent.slots:
        return _instead(str(before.slots["expression"]), str(intent.slots["instead"])) if before else None
    text = str(intent.slots.get("expression", "")).casefold()
    if len(text) > _LONGEST:
        return None
    tale = told(text)
    infix = tale.infix
    goes_on = _GOES_ON.match(infix)
    if goes_on and before is None and goes_on[0] in ("minus", "-"):
        return text
    if not goes_on and not _THAT.search(infix):
        return text
    if before is None or "result" not in before.slots:
        return None
    result = f"({before.slots['result']})"
    return f"{result} {infix}" if goes_on else _THAT.sub(result, infix if tale.kind == "sum" else text)


def _instead(expression: str, number: str) -> str | None:
    """`expression` with another number: the percentage if it is one, else the last number that is none."""
    given = tokens(number)
    new = amount_at(given, 0)
    if new is None or new[1] != len(given):
        return None
    words, at, places = tokens(expression), 0, []
    while at < len(words):
        found = amount_at(words, at)
        if found and (found[0].unit == "percent") == (new[0].unit == "percent"):
            places.append((at, found[1], found[0].unit))
        at = found[1] if found else at + 1
    if not places:
        return None
    begin, end, unit = places[-1]
    unit = "" if new[0].unit else unit
    return " ".join([*words[:begin], *given, *([unit] if unit else []), *words[end:]])


def _said(amount: Amount, sum_told: Told) -> str | None:
    if sum_told.kind == "sum":
        return f"That's {_spoken(amount)}."
    if sum_told.kind == "share":
        return f"That's {_spoken(amount)} each." if amount.value > 0 else None
    whole = amount_at(words := tokens(sum_told.whole), 0)
    if whole is None or whole[1] != len(words):
        return None
    if sum_told.kind == "addition":
        total, leads_to = whole[0].value + amount.value, "makes"
    else:
        total, leads_to = whole[0].value - amount.value, "leaves"
    return (
        f"The {sum_told.name} is {_spoken(amount)}, which {leads_to} {_spoken(Amount(total, amount.unit))}."
    )


def _spoken(amount: Amount) -> str:
    sign = _CURRENCIES.get(amount.unit)
    if sign is None or amount.value >= 10**15:
        return f"{spoken(amount.value)} {amount.unit}".strip()
    cents = rounded(abs(amount.value) * 100)
    about = "" if cents == abs(amount.value) * 100 else "about "
    minus = "minus " if amount.value < 0 else ""
    figures = f"{cents // 100:,}" + (f".{cents % 100:02d}" if cents % 100 else "")
    return f"{about}{minus}{sign}{figures}"


def _exact(amount: Amount) -> str:
    """The amount as a sum can have it, as a fraction if that is short and decimals would not end."""
    above, below = amount.value.as_integer_ratio()
    decimals = Decimal(above) / Decimal(below)
    is_fraction = Fraction(decimals) != amount.value and below < 10**6
    return f"{f'{above}/{below}' if is_fraction else f'{decimals:f}'} {amount.unit}".strip()
