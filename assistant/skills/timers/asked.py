"""What alarms and reminders have in common: the time that an intent names, and asking which is meant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from assistant.skills.skill import Answer, Intent, Situation, Value
from assistant.skills.timers.due import Item
from assistant.skills.timers.moments import day_slot
from assistant.skills.timers.spans import listed, span
from assistant.skills.timers.times import When, when

_SAID = 4
_AROUND = re.compile(
    r"^(?:(?:that|to|which)? ?(?:go|goes|going|ring|rings|ringing)(?: off)?|to wake (?:me|us)(?: up)?"
    r"|to|up|for) "
    r"|'s(?= |$)| (?:one|alarm)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Asked:
    """An intent, and the items of its kind, the next first."""

    intent: Intent
    situation: Situation
    items: Sequence[Item]

    @property
    def slots(self) -> Mapping[str, Value]:
        """What was said, as it was said."""
        return self.intent.slots

    @property
    def only(self) -> Item | None:
        """The item, if there is one only."""
        return self.items[0] if len(self.items) == 1 else None

    def before(self, *names: str) -> Intent | None:
        """The turn before, if it was one of these."""
        before = self.situation.before
        return before if before and before.name in names else None

    def meant(self, slots: Mapping[str, Value], *, open_ended: bool = False) -> Intent:
        """The intent with what its words mean."""
        return Intent(self.intent.name, slots, self.intent.text, open_ended)


def asked_time(asked: Asked, *slots: str, prefix: str = "") -> When | None:
    """The time in these slots together, an empty one if there are none; None if they are no time."""
    words = " ".join([prefix, *(str(asked.slots[slot]) for slot in slots if slot in asked.slots)]).strip()
    return spoken_time(words) if words else When()


def spoken_time(words: str) -> When | None:
    """A time, with what people say around it: "to go off at 7", "tomorrow's"; a duration is from now."""
    bare = _AROUND.sub("", words)
    length = span(bare)
    return when(words) or when(bare) or (When(length) if length and not length.bare else None)


def time_slots(said: When, at: datetime | None) -> dict[str, Value]:
    """The slots of a time: how long from now, or the time of the day and the day as it was said."""
    if said.span is not None:
        return dict(said.span.slots)
    slots: dict[str, Value] = {"time": f"{at:%H:%M}"} if at and said.clock else {}
    if said.day:
        slots["day"] = day_slot(said, at) if at else said.day
    return slots


def ask_which(asked: Asked, names: Sequence[str]) -> Answer:
    """A question to which the next turn is the answer."""
    few = list(names[:_SAID]) + ([f"{len(names) - _SAID} more"] if len(names) > _SAID else [])
    choices = listed(few)
    return Answer(f"Which one? There are {choices}.", intent=asked.meant({"which": "?"}, open_ended=True))
