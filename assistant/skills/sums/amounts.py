"""Numbers with what they are of, and what signs make of them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from assistant.skills.sums.exact import DIVIDED_BY_ZERO, SumError, bounded, factorial, power, root
from assistant.skills.sums.numbers import number_at

_MONEY = {"dollar": "dollars", "buck": "dollars", "pound": "pounds", "euro": "euros"}


class NoSumError(Exception):
    """The words are no sum."""


@dataclass(frozen=True)
class Amount:
    """A number, and what it is of."""

    value: Fraction
    unit: str = ""
    """"percent", "dollars", "pounds", "euros", or ""."""


def amount_at(words: Sequence[str], at: int) -> tuple[Amount, int] | None:
    """A number with "percent" or a currency, and the index behind it."""
    found = number_at(words, at)
    if found is None:
        return None
    value, at = found
    unit = words[at] if at < len(words) else ""
    if unit == "percent":
        return Amount(value, unit), at + 1
    if unit in ("cent", "cents"):
        return Amount(value / 100, "dollars"), at + 1
    money = _MONEY.get(unit.removesuffix("s"))
    if money is None:
        return Amount(value), at
    cents = number_at(words, at + 1 + (words[at + 1 : at + 2] == ["and"]))
    if cents and words[cents[1] : cents[1] + 1] in (["cents"], ["cent"], ["pence"]):
        return Amount(value + cents[0] / 100, money), cents[1] + 1
    return Amount(value, money), at + 1


def added(left: Amount, right: Amount, sign: str) -> Amount:
    """With "+" or "-"; a percentage is of what stands on the left: 80 plus 15 percent is 92.

    Raises NoSumError for dollars and euros, and SumError.
    """
    value = right.value if sign == "+" else -right.value
    if right.unit == "percent" and left.unit != "percent":
        value *= left.value / 100
    elif left.unit and right.unit and left.unit != right.unit:
        raise NoSumError
    unit = right.unit if right.unit != "percent" or left.unit == "percent" else ""
    return Amount(bounded(left.value + value), left.unit or unit)


def multiplied(left: Amount, right: Amount, sign: str) -> Amount:
    """With "*", "/", or "%" for the remainder; raises NoSumError for square dollars, and SumError."""
    if sign != "*" and right.value == 0:
        raise SumError(DIVIDED_BY_ZERO)
    if left.unit == right.unit != "":  # a share of dollars is a number
        if sign != "/":
            raise NoSumError
        return Amount(bounded(left.value / right.value))
    one, other = (
        amount.value / 100 if amount.unit == "percent" else amount.value for amount in (left, right)
    )
    units = {left.unit, right.unit} - {"", "percent"}
    if len(units) > 1:
        raise NoSumError
    value = one * other if sign == "*" else one / other if sign == "/" else one % other
    return Amount(bounded(value), next(iter(units), ""))


def raised(base: Amount, exponent: Fraction) -> Amount:
    """To a power; raises SumError."""
    return Amount(power(base.value, exponent), base.unit)


def applied(meaning: str, amount: Amount) -> Amount:
    """With "root 2", "power 3", "times 2", "half" or "factorial"; raises SumError."""
    return Amount(_applied(meaning, amount.value), amount.unit)


def _applied(meaning: str, value: Fraction) -> Fraction:
    name, _, amount = meaning.partition(" ")
    if name == "root":
        return root(value, int(amount))
    if name == "power":
        return power(value, Fraction(amount))
    if name == "factorial":
        return factorial(value)
    return value / 2 if name == "half" else bounded(value * int(amount))


def of_list(kind: str, amounts: Sequence[Amount]) -> Amount:
    """Their "mean", "sum", "product", or the "difference" of two; raises NoSumError, SumError."""
    if len(amounts) < 2 or (kind == "difference" and len(amounts) > 2):
        raise NoSumError
    unit = next((amount.unit for amount in amounts if amount.unit), "")
    return Amount(bounded(_LIST_OF[kind]([amount.value for amount in amounts])), unit)


_LIST_OF: dict[str, Callable[[list[Fraction]], Fraction]] = {
    "mean": lambda values: sum(values, Fraction(0)) / len(values),
    "sum": lambda values: sum(values, Fraction(0)),
    "product": lambda values: math.prod(values, start=Fraction(1)),
    "difference": lambda values: abs(values[0] - values[1]),
}
