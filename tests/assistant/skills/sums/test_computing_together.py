"""Sums, units and the calendar in one assistant: each question finds its skill, and most find none."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from said import services

from assistant.skills import Skills
from assistant.skills.dates.clock import Clock
from assistant.skills.sums.calculate import Calculator
from assistant.skills.sums.numbers import tokens
from assistant.skills.sums.units import Units

SERVICES = services()
SKILLS = Skills([Clock(SERVICES), Units(SERVICES), Calculator()], SERVICES)
MEANT = {
    "what is 12 times 9": "Calculate",
    "what is 12 miles in feet": "Convert",
    "what is 12 percent of 50": "Calculate",
    "how many days in a week": "Convert",
    "how many days in March": "DaysInMonth",
    "how many days until March 1st": "DaysUntil",
    "how many weeks in a year": "Convert",
    "how long is a year in days": "Convert",
    "what's today": "GetDate",
    "what's 90 days from today": "GetDate",
    "what's 90 minus 3": "Calculate",
    "how many minutes are in an hour": "Convert",
    "what is the time": "HassGetCurrentTime",
    "half of 30": "Calculate",
    "half of a mile in feet": "Convert",
    "how many times does 7 go into 84": "Calculate",
    "what's the date a week from tomorrow": "GetDate",
}
DIALOGUES = (
    ("what time is it in Tokyo", "HassGetCurrentTime", "and in London", "HassGetCurrentTime"),
    ("ten miles in kilometers", "Convert", "and in feet", "Convert"),
    ("ten miles in kilometers", "Convert", "and in London", None),
    ("12 times 9", "Calculate", "what about 30", "Calculate"),
    ("ten miles in kilometers", "Convert", "what about 30", "Convert"),
    ("how many days until Easter", "DaysUntil", "what about Friday", "DaysUntil"),
    ("12 times 9", "Calculate", "what about Friday", None),
    ("what time is it", "HassGetCurrentTime", "times two", None),
)
NO_QUESTIONS = """
    I have two dogs and three cats; what is the meaning of life; what's up; how many legs does a spider have
    set a timer for ten minutes; add milk to the shopping list; turn the lights to 50 percent; volume up
    what's the weather tomorrow; remind me to call mom on Friday; wake me at seven; play some music; stop
    what's the capital of France; tell me a joke; who won the game last night; how are you today; good morning
    I ran ten miles today; she is five foot ten; it costs about 20 dollars; let's meet at half past three
    the meeting is in two weeks; my birthday is on March 3rd; I was born in 1984; it's 5 o'clock somewhere
    what is the population of Tokyo; how far is it to London; how many people live in New York; how old is it
    give me a minute; one more time; two thumbs up; fifty fifty; long time no see; see you tomorrow; thanks
"""


def meant(*sentences: str) -> str | None:
    conversation = SKILLS.open()
    for sentence in sentences:
        planned = conversation.answer(sentence)
        conversation.before = planned.understood if planned else None
    return planned.intent if planned else None


@pytest.mark.parametrize(("sentence", "intent"), MEANT.items())
def test_a_question_finds_its_skill(sentence: str, intent: str) -> None:
    assert meant(sentence) == intent


@pytest.mark.parametrize(("first", "intent", "second", "then"), DIALOGUES)
def test_what_follows_goes_on_from_the_last(first: str, intent: str, second: str, then: str | None) -> None:
    assert (meant(first), meant(first, second)) == (intent, then)


@pytest.mark.parametrize(
    "sentence", [part.strip() for part in NO_QUESTIONS.strip().replace("\n", ";").split(";")]
)
def test_anything_else_is_for_others(sentence: str) -> None:
    assert meant(sentence) is None


WORDS = tokens(
    """what is the how many days weeks until since when was day date in on of to a and half point percent
    minus times plus 5 12 1999 9999 0 31 february march first thirtieth next last friday easter christmas year
    month ago from tomorrow today miles feet cups flour foot celsius degrees convert split between time tokyo
    london difference about that million dozen hundred leap " - / ( ) , squared power root"""
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), st.sampled_from([*MEANT, ""]))
def test_no_words_break_it(sentence: str, before: str) -> None:
    meant(before, sentence)
