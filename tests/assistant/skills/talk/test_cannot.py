"""What is out of reach is said to be, and general knowledge is left to the language model."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sayings import named, said

from assistant.skills import Announcements, Answer, Choice, Intent, Services, Situation, Skills, Store
from assistant.skills.talk.cannot import Cannot

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CANNOT = Cannot()


@pytest.mark.parametrize(("name", "text"), said("cannot_known.txt"))
def test_what_is_out_of_reach_is_known(name: str, text: str) -> None:
    assert named(CANNOT.recognize(text)) == name


@pytest.mark.parametrize("name", sorted(CANNOT.names))
def test_every_answer_is_honest_and_short(name: str) -> None:
    answer = CANNOT.answer(Intent(name), Situation(NOW))
    assert answer is not None and answer.act is None
    assert re.search(r"\bI (?:can't|don't)\b", answer.text) and len(answer.text.split()) <= 20


class Radio:
    """Can turn on the radio, and so it is not out of reach."""

    sentences: Sequence[Mapping[str, Any]] = (
        {"intents": {"RadioOn": {"data": [{"sentences": ["turn on the radio"]}]}}},
    )
    lists: Mapping[str, Sequence[Choice]] = {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        return Answer("The radio is on.")


def test_what_another_skill_can_do_is_done() -> None:
    services = Services(Store(), lambda: NOW, Announcements())
    alone, together = Skills([CANNOT], services), Skills([CANNOT, Radio()], services)
    cannot, radio = (skills.open().answer("Turn on the radio.") for skills in (alone, together))
    assert cannot is not None and cannot.intent == "CannotPlay"
    assert radio is not None and radio.intent == "RadioOn"
