"""Who needs help gets numbers of people, whatever else the words could mean."""

import random
from datetime import UTC, datetime

import pytest
from sayings import named, said

from assistant.skills import Announcements, Services, Situation, Store
from assistant.skills.skills import Skills
from assistant.skills.talk.cannot import Cannot
from assistant.skills.talk.care import Care, numbers
from assistant.skills.talk.small_talk import SmallTalk

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def services(country: str = "US") -> Services:
    return Services(Store(), lambda: NOW, Announcements(), country=country)


def reply(text: str, country: str = "US") -> str:
    care = Care(services(country))
    intent = care.recognize(text)
    assert intent is not None
    answer = care.answer(intent, Situation(NOW))
    assert answer is not None and answer.act is None
    return answer.text


CARE = Care(services())


@pytest.mark.parametrize(("name", "text"), said("care_known.txt"))
def test_what_was_thought_of_is_understood(name: str, text: str) -> None:
    assert named(CARE.recognize(text)) == name


def test_most_of_what_was_not_thought_of_is_understood() -> None:
    """Nobody looks at the misses of this list to change a rule: 28 of 34, and none of 22 that are harmless.

    Of two lists before it, which are among the known by now, 69 of 97 and 43 of 52 were found at first.
    """
    found = [(name != "-", CARE.recognize(text) is not None) for name, text in said("care_held_out.txt")]
    needs = [answered for needed, answered in found if needed]
    harmless = [answered for needed, answered in found if not needed]
    assert sum(needs) / len(needs) >= 0.8
    assert sum(harmless) / len(harmless) <= 0.05


@pytest.mark.parametrize(
    ("country", "text", "numbers"),
    [
        ("US", "I want to die.", ("988", "911")),
        ("US", "My child swallowed bleach.", ("1-800-222-1222", "911")),
        ("GB", "I want to die.", ("116 123", "999")),
        ("GB", "Can I take a double dose?", ("111",)),
        ("gb", "There's a fire in the kitchen.", ("999",)),
        ("IE", "I took too many pills.", ("112", "999")),
        ("IE", "My child swallowed bleach.", ("01 809 2166",)),
        ("CA", "I want to die.", ("988", "911")),
        ("AU", "I want to die.", ("13 11 14", "triple zero")),
        ("AU", "My child swallowed bleach.", ("13 11 26",)),
        ("NZ", "My child swallowed bleach.", ("0800 764 766", "111")),
        ("DE", "I have chest pain.", ("112",)),
        ("JP", "I have chest pain.", ("your local emergency number",)),
        ("JP", "I want to die.", ("a crisis line near you",)),
    ],
)
def test_numbers_are_those_of_the_country(country: str, text: str, numbers: tuple[str, ...]) -> None:
    assert all(number in reply(text, country) for number in numbers)


@pytest.mark.parametrize("name", sorted(CARE.names))
@pytest.mark.parametrize("country", ["US", "GB", "IE", "CA", "AU", "NZ", "FR", "JP"])
def test_answers_are_short_and_complete(country: str, name: str) -> None:
    text = next((said_ for known, said_ in said("care_known.txt") if known == name), "Help me!")
    words = reply(text, country)
    assert "{" not in words and words.count(". ") <= 2 and len(words.split()) <= 45


def test_a_country_that_is_not_known_has_no_number_of_another() -> None:
    assert not any(digit.isdigit() for digit in str(numbers("XX")))


@pytest.mark.parametrize(
    "text", ["I feel so sad, I want to die.", "Call an ambulance.", "Call 911!", "Help me, I can't breathe."]
)
def test_care_answers_before_all_others(text: str) -> None:
    all_of_them = Skills([Cannot(), SmallTalk(random.Random(1)), CARE], services())
    planned = all_of_them.open().answer(text)
    assert planned is not None and planned.intent.startswith("Care")


@pytest.mark.parametrize(
    "text",
    [
        "Remind me to call the doctor.",
        "Please remind me at nine to call the vet.",
        "Can you remind me to give the dog his tablets?",
        "Set a timer for ten minutes to take my medicine.",
        "Add dog food and aspirin to my shopping list.",
        "Put bleach on the shopping list.",
    ],
)
def test_errands_are_no_emergencies(text: str) -> None:
    assert CARE.recognize(text) is None


def test_no_errand_hides_a_wish_to_die() -> None:
    assert named(CARE.recognize("Remind me tonight to kill myself.")) == "CareSuicide"
