"""From what was said to what was meant, with templates of the test's own."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from assistant.session.stages import Device
from assistant.skills import Answer, Choice, Intent, Services, Situation, Skills, Store
from assistant.skills.matcher import Matcher
from assistant.skills.written import as_spoken

LAMPS: Mapping[str, Any] = {
    "intents": {
        "Light": {"data": [{"sentences": ["(turn|switch) on [the] {lamp}"]}]},
        "Note": {"data": [{"sentences": ["note [that] {words}"]}]},
        "Remember": {"data": [{"sentences": ["note [that] {words} for (tomorrow|later)"]}]},
        "Dim": {"data": [{"sentences": ["dim [the] {lamp} to {level} percent"]}]},
    },
    "lists": {"words": {"wildcard": True}, "level": {"range": {"from": 0, "to": 100}}},
}
LISTS = {"lamp": (Choice("hall lamp", "lamp.hall"), Choice("desk light", "lamp.desk"))}


def match(text: str) -> list[tuple[str, Mapping[str, object]]]:
    return [(intent.name, intent.slots) for intent in Matcher([LAMPS]).match(text, LISTS)]


@pytest.mark.parametrize(
    ("text", "name", "slots"),
    [
        ("Turn on the hall lamp.", "Light", {"lamp": "lamp.hall"}),
        ("Could you please switch on the desk light?", "Light", {"lamp": "lamp.desk"}),
        ("Hey, turn on the hall lamp now, thanks!", "Light", {"lamp": "lamp.hall"}),
        ("Sorry, turn on the hall lamp.", "Light", {"lamp": "lamp.hall"}),
        ("oh and turn on the hall lamp thank you", "Light", {"lamp": "lamp.hall"}),
        ("no turn on the desk light", "Light", {"lamp": "lamp.desk"}),
        ("Thanks, now could you maybe turn on the desk light?", "Light", {"lamp": "lamp.desk"}),
        ("would you mind turning on the desk light", "Light", {"lamp": "lamp.desk"}),
        ("you can turn on the desk light now", "Light", {"lamp": "lamp.desk"}),
        ("why don't you turn on the desk light", "Light", {"lamp": "lamp.desk"}),
        ("All right, let's see, dim the hall lamp to 30%", "Dim", {"lamp": "lamp.hall", "level": 30}),
        ("Dim the hall lamp to 30%.", "Dim", {"lamp": "lamp.hall", "level": 30}),
        ("Dim the hall lamp to thirty percent.", "Dim", {"lamp": "lamp.hall", "level": 30}),
        ("Note that Ann called.", "Note", {"words": "Ann called"}),
        ("Note to say thank you.", "Note", {"words": "to say thank you"}),
    ],
)
def test_written_and_spelled_and_polite(text: str, name: str, slots: dict[str, object]) -> None:
    assert match(text)[0] == (name, slots)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "The hall lamp.",
        "Turn on the radio.",
        "I turned on the hall lamp",
        "no hall lamp",
        "thanks",
    ],
)
def test_what_is_no_command_is_none(text: str) -> None:
    assert match(text) == []


def test_the_most_literal_reading_comes_first() -> None:
    """Both fit; one of them leaves fewer words free."""
    readings = match("Note that Ann called for tomorrow.")
    assert readings[0] == ("Remember", {"words": "Ann called"})
    assert ("Note", {"words": "Ann called for tomorrow"}) in readings


def test_what_ends_in_free_words_may_go_on() -> None:
    note, remember = (
        Matcher([LAMPS]).match(text, LISTS)[0] for text in ("Note that Ann called.", "Note that for later.")
    )
    assert note.open_ended and not remember.open_ended


def test_words_of_a_list_may_change() -> None:
    matcher = Matcher([LAMPS])
    assert not matcher.match("Turn on the porch light.", LISTS)
    more = {"lamp": (*LISTS["lamp"], Choice("porch light", "lamp.porch"))}
    assert [intent.slots for intent in matcher.match("Turn on the porch light.", more)] == [
        {"lamp": "lamp.porch"}
    ]


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It's 5:45.", "It's 5:45"),
        ("Set it to 30%!", "Set it to 30 percent"),
        ("It costs $20, or £1,000.", "It costs 20 dollars or 1000 pounds"),
        ("At 6 a.m. or 7PM?", "At 6 am or 7 PM"),
        ("A 10-minute timer", "A 10 minute timer"),
        ("350°F is hot", "350 degrees fahrenheit is hot"),
        ("What\u2019s 3.5 + 2?", "What's 3.5 + 2"),
    ],
)
def test_figures_and_signs_become_words(written: str, spoken: str) -> None:
    assert as_spoken(written) == spoken


class Lamps:
    """Answers Light, declines everything else; keeps what it was asked with."""

    sentences = (LAMPS,)
    lists = LISTS

    def __init__(self) -> None:
        self.situations: list[Situation] = []
        self.on: list[object] = []

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        self.situations.append(situation)
        if intent.name != "Light":
            return None

        async def act() -> str | None:
            self.on.append(intent.slots["lamp"])
            return None

        async def undo() -> None:
            self.on.remove(intent.slots["lamp"])

        return Answer("It's on.", act, undo)


NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def skills(*of: Lamps) -> Skills:
    def announce(text: str) -> None:
        raise AssertionError(text)

    return Skills(of, Services(Store(), lambda: NOW, announce))


class Loud:
    volume: float | None = 50.0
    speed = 1.0


def test_nothing_is_done_before_it_is_asked_for_and_it_can_be_undone() -> None:
    lamps = Lamps()
    conversation = skills(lamps).open()
    device: Device = Loud()
    planned = conversation.answer("Turn on the hall lamp.", (), device)
    assert planned is not None and planned.text == "It's on." and lamps.on == []
    assert lamps.situations == [Situation(NOW, "", None, device)]
    assert asyncio.run(planned.act()) == "It's on." and lamps.on == ["lamp.hall"]
    asyncio.run(planned.undo())
    assert lamps.on == []


def test_what_no_skill_wants_is_the_language_models() -> None:
    assert skills(Lamps()).open().answer("Note that Ann called.") is None


def test_a_conversation_knows_what_was_understood_last_until_the_model_answers() -> None:
    lamps = Lamps()
    one, other = skills(lamps).open(), skills(lamps).open()
    planned = one.answer("Turn on the hall lamp.")
    assert planned is not None
    one.answer("Turn on the desk light.")
    assert lamps.situations[-1].before is None, "nothing was done yet"
    asyncio.run(planned.act())
    one.answer("Turn on the desk light.")
    assert lamps.situations[-1].before == planned.understood
    other.answer("Turn on the desk light.")
    assert lamps.situations[-1].before is None, "another conversation"
    one.forget()
    one.answer("Turn on the desk light.")
    assert lamps.situations[-1].before is None
