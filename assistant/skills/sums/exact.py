"""Powers, roots and factorials of fractions: exact, and bounded."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

DIVIDED_BY_ZERO = "Nothing can be divided by zero."
_TOO_LARGE = "That number is too large for me to work out."
_MOST_DIGITS = 1000  # of any number on the way
_PRECISION = 60  # digits of a root that is no short fraction


class SumError(Exception):
    """A sum that has no answer to say; the message is a sentence that says so."""


def power(base: Fraction, exponent: Fraction) -> Fraction:
    """`base` to the power of `exponent`; raises SumError."""
    if base == 0 and exponent < 0:
        raise SumError(DIVIDED_BY_ZERO)
    if base in (0, 1) or exponent == 0:
        return Fraction(1) if exponent == 0 else base
    if abs(exponent) > 10 * _MOST_DIGITS or exponent.denominator > 1000:
        raise SumError(_TOO_LARGE)
    digits = abs(exponent) * len(str(max(abs(base.numerator), base.denominator) - 1))
    if digits > _MOST_DIGITS and base != -1:
        raise SumError(_TOO_LARGE)
    value = Fraction(root(base, exponent.denominator) ** exponent.numerator)
    if exponent.denominator == 1 or value.denominator < 10**_MOST_DIGITS:
        return value
    with localcontext(prec=_PRECISION):  # of a root that was rounded, with all the digits that its power has
        return Fraction(Decimal(value.numerator) / Decimal(value.denominator))


def root(value: Fraction, degree: int) -> Fraction:
    """The root, exactly where it is a short fraction, else to `_PRECISION` digits; raises SumError."""
    if degree == 1:
        return value
    if value < 0:
        if degree % 2:
            return -root(-value, degree)
        raise SumError("A negative number has no real square root.")
    with localcontext(prec=_PRECISION):
        above, below = (_decimal_root(part, degree) for part in (value.numerator, value.denominator))
        exact = Fraction(round(above), round(below))
        return exact if exact**degree == value else Fraction(above / below)


def _decimal_root(value: int, degree: int) -> Decimal:
    return Decimal(value).sqrt() if degree == 2 else Decimal(value) ** (Decimal(1) / degree)


def factorial(value: Fraction) -> Fraction:
    """The factorial of a small whole number; raises SumError."""
    if value.denominator > 1 or value < 0:
        raise SumError("Only whole numbers have a factorial.")
    if value > 400:
        raise SumError(_TOO_LARGE)
    return Fraction(math.factorial(int(value)))


def bounded(value: Fraction) -> Fraction:
    """`value`, unless it takes too many digits; raises SumError."""
    if max(abs(value.numerator), value.denominator) >= 10**_MOST_DIGITS:
        raise SumError(_TOO_LARGE)
    return value
