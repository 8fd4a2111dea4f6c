"""A conversation with some skills, typed: what was understood, and what was said."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from assistant.home.entities import Entity, Home
from assistant.home.scripted import ScriptedHome
from assistant.skills import Services, Skill, Skills, Store
from llm.text.message import Message

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass
class Loud:
    """A device whose volume can be set, unless it is None."""

    volume: float | None = 50.0
    speed: float = 1.0


@dataclass(frozen=True)
class Turn:
    """What came of one sentence; `intent` is empty if no skill understood it."""

    intent: str
    slots: Mapping[str, object]
    said: str
    expected: str
    complete: bool = True


NONE = Turn("", {}, "", "")


@dataclass
class Talk:
    """Says sentences one after another, and lets each be done."""

    make: Callable[[Services], Sequence[Skill]]
    home: Home = field(default_factory=lambda: ScriptedHome(()))
    device: Loud = field(default_factory=Loud)
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        services = Services(self.store, lambda: NOW, _nothing, self.home)
        self._conversation = Skills(self.make(services), services).open()
        self._history: list[Message] = []

    def say(self, text: str) -> Turn:
        """What came of `text`."""
        planned = self._conversation.answer(text, self._history, self.device)
        if planned is None:
            self._conversation.forget()
            return NONE
        said = asyncio.run(planned.act())
        self._history.append(Message("assistant", said))
        return Turn(planned.intent, planned.slots, said, planned.text, planned.complete)

    def say_and_undo(self, text: str) -> None:
        """Let it be done, and take it back."""
        planned = self._conversation.answer(text, self._history, self.device)
        assert planned is not None, text

        async def both() -> None:
            await planned.act()
            await planned.undo()

        asyncio.run(both())

    def hear(self, text: str) -> bool:
        """Whether a transcript that may still go on is understood; nothing is done."""
        return self._conversation.answer(text, self._history, self.device) is not None


def entity(name: str, domain: str, area: str = "") -> Entity:
    """An entity whose id is made from its name."""
    return ScriptedHome.from_dict({"entities": [{"name": name, "domain": domain, "area": area}]}).entities[0]


def _nothing(text: str) -> None:
    raise AssertionError(f"nothing is announced: {text}")
