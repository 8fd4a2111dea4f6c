"""What a skill answers in a conversation, sentence by sentence."""

from collections.abc import Sequence
from datetime import UTC, datetime

from assistant.skills import Answer, Services, Skill, Skills, Store


def services(now: datetime = datetime(2026, 11, 30, 17, 5, tzinfo=UTC), country: str = "US") -> Services:
    """With a clock that stands, a store in memory, and nothing to announce."""

    def announce(text: str) -> None:
        raise AssertionError(f"nothing is to be announced, least of all {text!r}")

    return Services(Store(), lambda: now, announce, country=country)


def answers(skill: Skill, *sentences: str, given: Services | None = None) -> Sequence[Answer | None]:
    """What comes of each, knowing what was understood before it."""
    conversation, heard = Skills([skill], given or services()).open(), []
    for sentence in sentences:
        planned = conversation.answer(sentence)
        conversation.before = planned.understood if planned else None
        heard.append(planned.answer if planned else None)
    return heard


def said(skill: Skill, *sentences: str, given: Services | None = None) -> str | None:
    """The answer to the last of them; None if it is declined."""
    last = answers(skill, *sentences, given=given)[-1]
    return last.text if last else None
