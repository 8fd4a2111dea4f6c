"""What spoken words mean, against values worked out by hand."""

import random
import re
from functools import cache

import pytest

from llm.train.numerals import Spoken, number_words
from llm.train.spoken import SPOKEN

DRAWS = 30_000


@cache
def drawn(name: str) -> dict[str, Spoken]:
    """Many draws by their words; the same words always mean the same."""
    found: dict[str, Spoken] = {}
    rng = random.Random(0)
    for _ in range(DRAWS):
        spoken = SPOKEN[name](rng)
        assert found.setdefault(spoken.words, spoken).slots == spoken.slots, spoken
    return found


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty-two"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (999, "nine hundred and ninety-nine"),
    ],
)
def test_numbers(number: int, words: str) -> None:
    assert number_words(number) == words


@pytest.mark.parametrize("name", SPOKEN)
def test_the_same_words_mean_the_same(name: str) -> None:
    assert len(drawn(name)) > 4


@pytest.mark.parametrize(
    ("name", "words", "slots"),
    [
        ("alarm_time", "quarter to seven", {"time": "06:45"}),
        ("alarm_time", "half past five", {"time": "05:30"}),
        ("alarm_time", "quarter past six in the morning", {"time": "06:15"}),
        ("alarm_time", "noon", {"time": "12:00"}),
        ("alarm_time", "midnight", {"time": "00:00"}),
        ("alarm_time", "9 pm", {"time": "21:00"}),
        ("time", "half past three", {"time": "15:30"}),
        ("time", "half past eight", {"time": "08:30"}),
        ("time", "three pm", {"time": "15:00"}),
        ("duration", "an hour and a half", {"hours": 1, "minutes": 30}),
        ("duration", "ninety minutes", {"minutes": 90}),
        ("duration", "one minute", {"minutes": 1}),
        ("duration", "forty-five seconds", {"seconds": 45}),
        ("percent", "a quarter", {"brightness": 25}),
        ("level", "forty percent", {"volume_level": 40}),
        ("step", "20 percent", {"volume_step": 20}),
        ("step_down", "20 percent", {"volume_step": -20}),
        ("temperature", "twenty-one", {"temperature": 21}),
        ("temperature", "twenty and a half", {"temperature": 20.5}),
        ("day", "on Friday", {"day": "friday"}),
        ("date", "the day after tomorrow", {"day": "day after tomorrow"}),
        ("units", "grams in an ounce", {"value": 1, "from": "ounces", "to": "grams"}),
        ("units", "centimeters in an inch", {"value": 1, "from": "inches", "to": "centimeters"}),
        ("units", "meters in a foot", {"value": 1, "from": "feet", "to": "meters"}),
        ("units", "minutes in an hour", {"value": 1, "from": "hours", "to": "minutes"}),
    ],
)
def test_meanings(name: str, words: str, slots: dict[str, object]) -> None:
    assert drawn(name)[words].slots == slots


def test_sums_are_written_as_they_are_said() -> None:
    signs = {"plus": "+", "and": "+", "minus": "-", "take away": "-", "times": "*", "multiplied by": "*"}
    signs |= {"divided by": "/", "over": "/"}
    spelled = {number_words(number): number for number in range(1000)}
    checked = 0
    for words, spoken in drawn("sum").items():
        match = re.fullmatch(rf"(.+?) ({'|'.join(signs)}) ([\w-]+(?: hundred(?: and [\w-]+)?)?)", words)
        if match is None or not all(n.isdigit() or n in spelled for n in (match[1], match[3])):
            continue
        left, right = (int(n) if n.isdigit() else spelled[n] for n in (match[1], match[3]))
        assert spoken.slots == {"expression": f"{left} {signs[match[2]]} {right}"}
        checked += 1
    assert checked > 500
