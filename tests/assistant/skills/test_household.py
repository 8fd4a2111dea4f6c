"""The skills of a home leave ordinary sentences to the language model."""

from datetime import UTC, datetime

import pytest
from sayings import HERE

from assistant.skills import Announcements, Services, Store
from assistant.skills.household import household
from assistant.skills.skills import Conversation

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HARMLESS = ("Care", "Cannot", "SmallTalk")
"""They only say something."""


def test_ordinary_sentences_start_nothing() -> None:
    """At most 1 % start an action, and at most 1 % get a fixed answer in place of the model's."""
    announcements = Announcements()
    conversation = household(Services(Store(), lambda: NOW, announcements), announcements).open()
    sentences = (HERE / "ordinary.txt").read_text(encoding="utf-8").splitlines()
    planned = [(text, conversation.answer(text)) for text in sentences]
    found = [(text, plan.intent) for text, plan in planned if plan is not None]
    actions = [pair for pair in found if not pair[1].startswith(HARMLESS)]
    assert len(sentences) >= 200
    assert len(actions) <= len(sentences) / 100, actions
    assert len(found) - len(actions) <= len(sentences) / 100, found


def conversation() -> Conversation:
    announcements = Announcements()
    return household(Services(Store(), lambda: NOW, announcements), announcements).open()


@pytest.mark.parametrize(
    "request_", ["set a timer for ", "turn on the light and ", "add milk to my list and "]
)
def test_what_is_longer_than_any_command_is_none(request_: str) -> None:
    """Some templates take time with the cube of the length: minutes for these."""
    assert conversation().answer(request_ * 200) is None


def test_who_needs_help_is_heard_at_the_end_of_a_long_text() -> None:
    planned = conversation().answer("It was a long day and nobody called. " * 100 + "I want to kill myself.")
    assert planned is not None and planned.intent == "CareSuicide"
