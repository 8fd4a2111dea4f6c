"""Small talk: kind and short, jokes that change, and luck that is drawn."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sayings import named, said

from assistant.skills import Intent, Situation
from assistant.skills.talk.small_talk import SmallTalk

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TALK = SmallTalk(random.Random(1))


@pytest.mark.parametrize(("name", "text"), said("small_talk_known.txt"))
def test_what_kind_of_talk_it_is(name: str, text: str) -> None:
    assert named(TALK.recognize(text)) == name


def reply(name: str, now: datetime = NOON, last: str = "", text: str = "") -> str:
    answer = TALK.answer(Intent(name, text=text), Situation(now, last))
    assert answer is not None and answer.act is None
    return answer.text


@pytest.mark.parametrize("name", sorted(TALK.names))
def test_every_answer_is_short(name: str) -> None:
    for minute in range(40):
        assert 1 <= len(reply(name, NOON + timedelta(seconds=10 * minute)).split()) <= 40


@pytest.mark.parametrize(("name", "least"), [("SmallTalkJoke", 30), ("SmallTalkFact", 20)])
def test_the_clock_goes_through_all_of_them(name: str, least: int) -> None:
    told = [reply(name, NOON + timedelta(seconds=10 * turn)) for turn in range(100)]
    assert len(set(told)) >= least
    assert all(one != other for one, other in pairwise(told))


def test_an_answer_stays_while_a_transcript_grows_and_is_not_given_twice() -> None:
    joke = reply("SmallTalkJoke")
    assert reply("SmallTalkJoke", NOON + timedelta(seconds=3)) == joke
    assert reply("SmallTalkJoke", NOON, last=joke) != joke


def test_coins_and_dice_are_fair() -> None:
    """600 throws: each side within five standard deviations of what is expected."""
    coins = Counter(reply("SmallTalkCoin") for _ in range(600))
    assert set(coins) == {"Heads.", "Tails."} and abs(coins["Heads."] - 300) < 5 * 12.3
    dice = Counter(reply("SmallTalkDie", text="Roll a die.") for _ in range(600))
    assert set(dice) == {"One.", "Two.", "Three.", "Four.", "Five.", "Six."}
    assert all(abs(count - 100) < 5 * 9.2 for count in dice.values())
    assert len(reply("SmallTalkDie", text="Roll two dice.").split(" and ")) == 2


def test_luck_is_that_of_the_generator() -> None:
    one, other = (SmallTalk(random.Random(7)) for _ in range(2))
    for _ in range(20):
        coin = Intent("SmallTalkCoin")
        assert one.answer(coin, Situation(NOON)) == other.answer(coin, Situation(NOON))


@pytest.mark.parametrize("text", ["Who made you?", "Are you human?", "What's your name?"])
def test_it_never_passes_for_a_person(text: str) -> None:
    intent = TALK.recognize(text)
    assert intent is not None
    assert "voice assistant" in reply(intent.name)
