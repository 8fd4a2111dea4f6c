"""What a skill is: sentences that it understands, and what comes of them.

A package of your own adds one by an entry point of the group `assistant.skills` that names a function from
`Services` to a `Skill`; docs/skills.md has an example.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from assistant.home.entities import Home
from assistant.home.scripted import ScriptedHome
from assistant.session.stages import Device
from assistant.skills.store import Store

Value = str | int | float


@dataclass(frozen=True)
class Intent:
    """What was understood, with names and slots as Home Assistant has them where it has them."""

    name: str
    slots: Mapping[str, Value] = field(default_factory=dict)
    text: str = ""
    """What was said."""
    open_ended: bool = False
    """It ends in words of any kind ("remind me to call the dentist"), so more of it may follow."""


@dataclass(frozen=True)
class Answer:
    """What a skill makes of an intent, before anything of it is done: the user may still be speaking."""

    text: str
    """What is said if all goes as expected; from one to three short sentences, as they are spoken."""
    act: Callable[[], Awaitable[str | None]] | None = None
    """Does it, once the turn is over. What it returns is said in place of `text`, if it is not None."""
    undo: Callable[[], Awaitable[None]] | None = None
    """Takes back what `act` did: the turn was not over after all."""
    intent: Intent | None = None
    """What was meant, where that is another intent: "make it ten" changes a timer."""


@dataclass(frozen=True)
class Situation:
    """What an answer may depend on beside the intent."""

    now: datetime
    """With the time zone of the user."""
    last_reply: str = ""
    before: Intent | None = None
    """What was understood in the turn before, if a skill answered it."""
    device: Device | None = None


@dataclass(frozen=True)
class Choice:
    """One of the words that a slot may have: what is said, what it means, and the context that sets."""

    said: str
    value: Value
    context: Mapping[str, Value] = field(default_factory=dict)
    """Home Assistant's sentences ask for the `domain` of a name."""


class Skill(Protocol):
    """Some intents, and what comes of them."""

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """Templates in the form of `hassil`, as `sentences` reads them; asked once."""
        ...

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """Lists of words that change as time goes by, such as names; asked at each match."""
        ...

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """What comes of `intent`; None if it is not meant after all.

        Changes nothing, and takes a few milliseconds at most: partial transcripts are answered as well.
        """
        ...


@runtime_checkable
class Recognizes(Protocol):
    """A skill may also find what is meant by itself, where templates of whole sentences are too narrow."""

    names: Collection[str]
    """The intents that it may find."""
    urgent: bool
    """What it finds goes before all that templates find; otherwise after it."""

    def recognize(self, text: str) -> Intent | None:
        """What is meant by `text`, in a millisecond at most; None if the skill does not know."""
        ...


class SkillError(Exception):
    """A skill cannot be used; the message names it."""


@dataclass(frozen=True)
class Services:
    """What skills are made with."""

    store: Store
    """Keeps what is to be there after a restart."""
    now: Callable[[], datetime]
    announce: Callable[[str], None]
    """Says something as soon as nobody speaks, in every conversation that is open."""
    home: Home = field(default_factory=lambda: ScriptedHome(()))
    """What can be switched; by default nothing."""
    country: str = "US"
    """ISO 3166-1 alpha-2 code: telephone numbers of help differ."""
