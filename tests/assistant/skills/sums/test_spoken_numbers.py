"""Numbers from words and figures, and back, against the names that the reader of texts gives numbers."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.skills.sums.numbers import number, ordinal_at, spoken, tokens
from tts.reading.numbers import cardinal, ordinal

NUMBERS = {
    "eighty-one": 81,
    "a hundred and five": 105,
    "one hundred five": 105,
    "2 hundred": 200,
    "one hundred and 5": 105,
    "fifteen hundred": 1500,
    "a thousand and one": 1001,
    "three thousand five hundred": 3500,
    "3 million": 3_000_000,
    "2.5 million": 2_500_000,
    "two and a half million": 2_500_000,
    "3 million 500 thousand": 3_500_000,
    "half a million": 500_000,
    "one billion two hundred million and seven": 1_200_000_007,
    "one point five": Fraction(3, 2),
    "three point one four": Fraction(314, 100),
    "three point fourteen": Fraction(314, 100),
    "two point oh five": Fraction(205, 100),
    "point five": Fraction(1, 2),
    "3.5": Fraction(7, 2),
    "two and a half": Fraction(5, 2),
    "ten and three quarters": Fraction(43, 4),
    "1 1/2": Fraction(3, 2),
    "1½": Fraction(3, 2),
    "3/4": Fraction(3, 4),
    "half": Fraction(1, 2),
    "a quarter": Fraction(1, 4),
    "three quarters": Fraction(3, 4),
    "two thirds": Fraction(2, 3),
    "5 eighths": Fraction(5, 8),
    "a dozen": 12,
    "two dozen": 24,
    "half a dozen": 6,
    "minus four": -4,
    "negative 3.5": Fraction(-7, 2),
    "zero": 0,
}
NO_NUMBERS = ("", "a", "and", "point", "oh", "seven seven", "200 and 300", "twenty second", "the third",
              "hundred", "1.5.2", "one two three", "ten apples", "five thousand million")  # fmt: skip


@pytest.mark.parametrize(("text", "value"), NUMBERS.items())
def test_a_number_has_its_value(text: str, value: Fraction) -> None:
    assert number(text) == value


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_has_none(text: str) -> None:
    assert number(text) is None


@given(st.integers(0, 10**15 - 1), st.booleans())
def test_every_number_in_words_is_understood(value: int, british: bool) -> None:
    words = cardinal(value)
    if british:
        words = " and ".join(words.replace("hundred ", "hundred and ").split(" and "))
        for scale in ("thousand", "million", "billion", "trillion"):
            words = words.replace(f"hundred and {scale}", f"hundred {scale}")
    assert number(words) == value


@given(st.integers(0, 999_999), st.text("0123456789", min_size=1, max_size=6))
def test_decimals_in_words_are_understood(whole: int, decimals: str) -> None:
    digits = " ".join(cardinal(int(digit)) for digit in decimals)
    assert number(f"{cardinal(whole)} point {digits}") == Fraction(f"{whole}.{decimals}")


@given(st.integers(1, 99))
def test_places_are_understood(value: int) -> None:
    for text in (ordinal(value), f"{value}th"):
        words = tokens(text)
        assert ordinal_at(words, 0) == (value, len(words))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(12), "12"),
        (Fraction(1296), "1,296"),
        (Fraction(1234567), "1,234,567"),
        (Fraction(-5), "minus 5"),
        (Fraction("12.6"), "12.6"),
        (Fraction("0.0625"), "0.0625"),
        (Fraction(22, 7), "about 3.14"),
        (Fraction(1, 3), "about 0.333"),
        (Fraction(-2, 3), "about minus 0.667"),
        (Fraction(1, 128), "about 0.00781"),
        (Fraction(10000, 7), "about 1,428.57"),
        (Fraction(10**15 - 1), "999,999,999,999,999"),
        (Fraction(10**18), "1 quintillion"),
        (Fraction(2**64), "about 18.45 quintillion"),
        (Fraction(2**100), "about 1.27 times 10^30"),
        (Fraction(2**200), "about 1.61 times 10^60"),
    ],
)
def test_a_result_is_said_shortly(value: Fraction, text: str) -> None:
    assert spoken(value) == text


@given(st.fractions(-(10**9), 10**9))
def test_what_is_said_is_the_value_or_about_that(value: Fraction) -> None:
    text = spoken(value).replace(",", "")
    heard = number(text.removeprefix("about "))
    assert heard is not None
    if not text.startswith("about"):
        assert heard == value
    else:
        assert abs(heard - value) <= min(Fraction(1, 200), abs(value) / 199)


@pytest.mark.parametrize("text", ["²", "2²", "²³ hundred"])
def test_raised_figures_are_no_numbers(text: str) -> None:
    assert number(text) is None
