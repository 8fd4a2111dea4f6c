"""Answers that change what is due, and can take it back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant.skills.skill import Answer, Intent
from assistant.skills.timers.due import Due, Item


@dataclass(frozen=True)
class Change:
    """What was, and what came in its place."""

    before: Sequence[Item] = ()
    after: Sequence[Item] = ()
    said: str | None = None
    """In place of what was expected."""


def undoable(due: Due, intent: Intent, text: str, change: Callable[[], Change]) -> Answer:
    """An answer that says `text` and makes a change, which it can take back."""
    made: list[Change] = []

    async def act() -> str | None:
        made.append(change())
        return made[-1].said

    async def undo() -> None:
        while made:
            last = made.pop()
            due.restore(last.before, last.after)

    return Answer(text, act, undo, intent)
