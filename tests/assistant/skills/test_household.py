"""The skills of a home leave ordinary sentences to the language model."""

from datetime import UTC, datetime

from sayings import HERE

from assistant.skills import Announcements, Services, Store
from assistant.skills.household import household

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
