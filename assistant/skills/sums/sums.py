"""Sums in words or figures, worked out exactly: a parser of expressions as they are spoken."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import ParamSpec

from assistant.skills.sums.amounts import (
    Amount,
    NoSumError,
    added,
    amount_at,
    applied,
    multiplied,
    of_list,
    raised,
)
from assistant.skills.sums.exact import SumError
from assistant.skills.sums.numbers import ordinal_at, tokens
from assistant.skills.sums.signs import (
    ADDITIVE,
    FORMS,
    LISTS,
    MULTIPLICATIVE,
    POSTFIXES,
    POWERS,
    PREFIXES,
    Table,
)

_Given = ParamSpec("_Given")
_MOST_WORDS = 60  # of an expression
_PI = Fraction("3.14159265358979323846264338327950288419716939937510")
_MISHEARD = {"to": 2, "too": 2, "for": 4, "ate": 8}
_MINUS = ("minus", "negative", "-", "\N{MINUS SIGN}")


def evaluate(text: str) -> Amount | None:
    """What the sum `text` comes to; None if it is not wholly one. Raises SumError."""
    words = tokens(text)
    if len(words) > _MOST_WORDS:
        return None
    parser = _Parser(words)
    try:
        amount = parser.whole()
    except NoSumError:
        return None
    if parser.at < len(words) or not parser.operations:
        return None
    if parser.error:
        raise parser.error
    return amount


class _Parser:
    """Recursive descent; each method leaves `at` behind what it has read."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words, self.at = words, 0
        self.operations = 0
        self.error: SumError | None = None

    def whole(self) -> Amount:
        """The sum, as a percentage if that is asked for."""
        amount = self.sum()
        form = self._take(FORMS)
        return Amount(100 * amount.value, form) if form == "percent" else amount

    def sum(self) -> Amount:
        """Terms with plus and minus between them."""
        left = self._product()
        while sign := self._take(ADDITIVE):
            left = self._do(added, left, self._product(), sign)
        return left

    def _product(self) -> Amount:
        left = self._signed()
        while sign := self._take(MULTIPLICATIVE):
            left = self._do(multiplied, left, self._signed(), sign)
        return left

    def _signed(self) -> Amount:
        if self.at < len(self.words) and self.words[self.at] in _MINUS:
            self.at += 1
            amount = self._signed()
            return Amount(-amount.value, amount.unit)
        return self._power()

    def _power(self) -> Amount:
        base, exponent = self._postfixed(), self._exponent()
        return base if exponent is None else self._do(raised, base, exponent)

    def _exponent(self) -> Fraction | None:
        """What follows "to the power of", or of "to the third [power]"."""
        if self.words[self.at : self.at + 2] == ["to", "the"]:
            place = ordinal_at(self.words, self.at + 2)
            if place:
                self.operations += 1
                self.at = place[1] + (self.words[place[1] : place[1] + 1] == ["power"])
                return Fraction(place[0])
        if self._take(POWERS):
            return self._signed().value
        return None

    def _postfixed(self) -> Amount:
        amount = self._prefixed()
        while meaning := self._take(POSTFIXES):
            amount = self._do(applied, meaning, amount)
        return amount

    def _prefixed(self) -> Amount:
        self._skip(["the"])
        if kind := self._take(LISTS):
            return self._of_list(kind)
        if meaning := self._take(PREFIXES):
            return self._do(applied, meaning, self._signed())
        return self._atom()

    def _of_list(self, kind: str) -> Amount:
        """What comes of numbers such as "3 5 and 10"."""
        amounts = [self._listed()]
        while self.at < len(self.words):
            before = self.at
            self._skip([","])
            self._skip(["and"])
            try:
                amounts.append(self._listed())
            except NoSumError:
                self.at = before
                break
        return self._do(of_list, kind, amounts)

    def _listed(self) -> Amount:
        minus = any(self._skip([word]) for word in _MINUS)
        amount = self._number()
        return Amount(-amount.value, amount.unit) if minus else amount

    def _atom(self) -> Amount:
        if self._skip(["("]):
            amount = self.sum()
            if not self._skip([")"]):
                raise NoSumError
            return amount
        if self._skip(["pi"]):
            return Amount(_PI)
        amount = self._number()
        if (amount.unit == "percent" or amount.value.denominator > 1) and self._skip(["of"]):
            self.operations += 1
            return self._do(multiplied, amount, self._power(), "*")
        return amount

    def _number(self) -> Amount:
        figures = self.words[self.at - 1 : self.at] == ["/"]  # 12/3/4 is not 12 by three quarters
        found = amount_at(self.words[: self.at + 1] if figures else self.words, self.at)
        misheard = (
            _MISHEARD.get(self.words[self.at]) if self.operations and self.at < len(self.words) else None
        )
        if found is None and misheard:
            found = Amount(Fraction(misheard)), self.at + 1
        if found is None:
            raise NoSumError
        amount, self.at = found
        return amount

    def _do(self, operation: Callable[_Given, Amount], *given: _Given.args, **named: _Given.kwargs) -> Amount:
        """What it comes to; an error waits until all is read, for only a sum deserves to be told of it."""
        try:
            return operation(*given, **named)
        except SumError as error:
            self.error = self.error or error
            return Amount(Fraction(1))

    def _take(self, table: Table) -> str:
        """What the words that follow mean, of those in `table`; "" if they are none of them."""
        for words, meaning in table:
            if self._skip(words):
                self.operations += 1
                return meaning
        return ""

    def _skip(self, words: Sequence[str]) -> bool:
        if self.words[self.at : self.at + len(words)] != list(words):
            return False
        self.at += len(words)
        return True
