"""Reminders: of something, at a time that may be asked for; said once when it has come."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation, Value
from assistant.skills.timers.asked import Asked, ask_which, asked_time, time_slots
from assistant.skills.timers.due import Due, Item
from assistant.skills.timers.moments import clock_in_words, days_in_words, is_meant, moment, moment_in_words
from assistant.skills.timers.reminder_words import Reminder, reminder, said_after, yours
from assistant.skills.timers.spans import and_more, in_words
from assistant.skills.timers.times import When, when
from assistant.skills.timers.undoable import Change, undoable

_TIMES = frozenset(("time", "day", "days", "hours", "minutes", "seconds"))
_SAID = 4
_NEVER_MIND = re.compile(r"\b(?:never ?mind|forget it|cancel|stop|nothing|no)\b", re.IGNORECASE)


class Reminders:
    """See the module; `due` says them."""

    def __init__(self, services: Services, due: Due) -> None:
        self._services, self._due = services, due
        self._answers: dict[str, Callable[[Asked], Answer | None]] = {
            "SetReminder": self._set,
            "GetReminders": self._get,
            "CancelReminder": self._cancel,
            "CancelAllReminders": self._cancel_all,
        }

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """Home Assistant has none for reminders."""
        return (our_own("reminders"),)

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """None."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        reminders = sorted(self._due.items("reminder"), key=lambda item: item.due_s or 0.0)
        return self._answers[intent.name](Asked(intent, situation, reminders))

    def _set(self, asked: Asked) -> Answer | None:
        if "asked" in asked.slots:
            said = _completed(asked)
            return self._remind(asked, said) if said else None
        if "that" in asked.slots:
            return self._move(asked)
        rest = said_after(asked.intent.text) if asked.slots.keys() & {"rest", "told"} else ""
        ahead = str(asked.slots.get("ahead", ""))
        said = reminder(ahead, rest)
        if said is None and "reminder" in asked.intent.text.casefold():  # "reminder buy milk tomorrow"
            said = reminder(ahead, f"to {rest}")
            said = None if said is None or said.time == When() else said
        if said and "told" in asked.slots and (said.link != "to" or said.time == When()):
            return None
        if said is None or (said.link in ("that", "about", "of", "for") and said.time == When()):
            return None
        return self._remind(asked, said)

    def _move(self, asked: Asked) -> Answer | None:
        """ "Make it four", after a reminder for three."""
        before, time = asked.before("SetReminder"), asked_time(asked, "when")
        text = str(before.slots.get("text", "")) if before else ""
        known = next((item for item in asked.items[::-1] if item.text == yours(text)), None)
        if before is None or time is None or known is None:
            return None
        if not time.day and not time.span:
            time = when(f"{before.slots.get('day', '')} {asked.slots['when']}".strip()) or time
        return self._remind(asked, Reminder(text, time), known)

    def _remind(self, asked: Asked, said: Reminder, instead_of: Item | None = None) -> Answer:
        now, time = asked.situation.now, said.time
        text: dict[str, Value] = {"text": said.text} if said.text else {}
        if not said.text:
            return Answer("Of what?", intent=asked.meant(time_slots(time, None), open_ended=True))
        if time == When() or (time.clock is None and time.day == "today" and not time.part):
            slots = text | time_slots(time, None)
            return Answer("When?", intent=asked.meant(slots, open_ended=True))
        at = moment(time, now, early=False)
        if at is None:
            return Answer("That time is over already. When?", intent=asked.meant(text))
        return self._remind_at(asked, said, at, instead_of)

    def _remind_at(self, asked: Asked, said: Reminder, at: datetime, instead_of: Item | None) -> Answer:
        time, now = said.time, asked.situation.now
        spoken = (
            f"in {in_words(time.span.total_s)}"
            if time.span and not time.span.days
            else _said_at(at, time, now)
        )
        text = yours(said.text)

        def change() -> Change:
            due = moment(time, self._services.now(), early=False) if time.span else at
            assert due is not None, "a duration is always to come"
            clock, number = f"{due:%H:%M}" if time.days else "", instead_of.id if instead_of else 0
            item = Item("reminder", due.timestamp(), text, clock=clock, days=time.days, id=number)
            return Change((instead_of,) if instead_of else (), (self._due.put(item),))

        ends = not asked.intent.text.rstrip(" .!?").casefold().endswith(said.text.casefold())
        intent = asked.meant({"text": said.text, **_slots(time, at)}, open_ended=not ends or time.open_ended)
        link = "that " if said.link == "that" else "about " if said.link in ("about", "of", "for") else "to "
        return undoable(self._due, intent, f"I'll remind you {spoken} {link}{text}.", change)

    def _get(self, asked: Asked) -> Answer | None:
        now, time = asked.situation.now, asked_time(asked, "when")
        if time is None:
            return None
        found = [item for item in asked.items if is_meant(time, _at(item, now), now)]
        meant = asked.meant(time_slots(time, None))
        if "next" in asked.intent.text.casefold():
            found = found[:1]
        if not found:
            return Answer(f"You have no reminders{' then' if asked.items else ''}.", intent=meant)
        said = ". ".join(f"{_when(item, now)}: {item.text}" for item in found[:_SAID])
        count = f"You have {len(found)} reminders. " if len(found) > 1 else ""
        return Answer(f"{count}{said}.{and_more(len(found) - _SAID)}", intent=meant)

    def _cancel(self, asked: Asked) -> Answer | None:
        found = self._meant(asked)
        if found is None:
            return None
        if not found:
            said = "There is no such reminder." if asked.items else "You have no reminders."
            return Answer(said) if "remind" in asked.intent.text.casefold() else None
        if len(found) > 1:
            return ask_which(asked, [item.text for item in found])
        text = f"The reminder to {found[0].text} is cancelled."
        return self._cancel_these(asked, found, text, {"text": found[0].text})

    def _meant(self, asked: Asked) -> list[Item] | None:
        """The reminders that are known by what was said; None if something else is meant."""
        before = asked.before("SetReminder", "CancelReminder", "GetReminders")
        if "that" in asked.slots:
            text = yours(str(before.slots.get("text", ""))) if before else ""
            return [item for item in asked.items if text in item.text] if before else None
        if "chosen" in asked.slots:
            if before is None or "which" not in before.slots:
                return None
            return _about(str(asked.slots["chosen"]), asked) or None
        words = str(asked.slots.get("rest", asked.slots.get("name", "")))
        return _about(words, asked) if words else list(asked.items)

    def _cancel_all(self, asked: Asked) -> Answer:
        count = len(asked.items)
        if not count:
            return Answer("You have no reminders.")
        text = f"All {count} reminders are cancelled." if count > 1 else "The reminder is cancelled."
        return self._cancel_these(asked, asked.items, text, {})

    def _cancel_these(
        self, asked: Asked, reminders: Sequence[Item], text: str, slots: Mapping[str, Value]
    ) -> Answer:
        def change() -> Change:
            for item in reminders:
                self._due.remove(item)
            return Change(reminders)

        return undoable(self._due, asked.meant(slots), text, change)


def _completed(asked: Asked) -> Reminder | None:
    """The answer to "When?", or to "Of what?"."""
    before, words = asked.before("SetReminder"), str(asked.slots["asked"])
    if before is None:
        return None
    text, day = str(before.slots.get("text", "")), str(before.slots.get("day", ""))
    if text and not before.slots.keys() & (_TIMES - {"day"}):
        time = asked_time(asked, "asked", prefix=day) or asked_time(asked, "asked")
        return Reminder(text, time, "to") if time else None
    if text or _NEVER_MIND.search(words):
        return None
    return reminder(
        " ".join(_again(before.slots)), words if re.match(r"(?i)to |that |about ", words) else f"to {words}"
    )


def _again(slots: Mapping[str, Value]) -> list[str]:
    """The words of a time that an intent has already."""
    spans = [f"{slots[unit]} {unit}" for unit in ("days", "hours", "minutes", "seconds") if unit in slots]
    if spans:
        return ["in", *spans]
    return [str(slots[slot]) for slot in ("day", "time") if slot in slots]


def _slots(time: When, at: datetime) -> dict[str, Value]:
    """With the time that was chosen where none was said."""
    slots = time_slots(time, at)
    return slots if time.span or "time" in slots or "day" in slots else {"time": f"{at:%H:%M}"}


def _about(words: str, asked: Asked) -> list[Item]:
    """Those whose words these are, or whose time."""
    now, time = asked.situation.now, asked_time_of(words)
    if time is not None:
        return [item for item in asked.items if is_meant(time, _at(item, now), now)]
    bare = re.sub(r"(?i)^(?:to|about|for|of|that|the|my) ", "", yours(words)).casefold()
    found = [item for item in asked.items if bare in item.text.casefold()]
    return [item for item in found if item.text.casefold() == bare] or found


def asked_time_of(words: str) -> When | None:
    """The time that these words name."""
    return when(words.removesuffix("'s"))


def _at(item: Item, now: datetime) -> datetime:
    assert item.due_s is not None, "reminders do not pause"
    return datetime.fromtimestamp(item.due_s, now.tzinfo)


def _said_at(at: datetime, time: When, now: datetime) -> str:
    """When it is due, after "I'll remind you"."""
    if time.days:
        return f"at {clock_in_words(at)} {days_in_words(time.days)}"
    return f"at {moment_in_words(at, now)}"


def _when(item: Item, now: datetime) -> str:
    """The same at the beginning of a sentence."""
    at = _at(item, now)
    return _said_at(at, When(days=item.days), now).replace("at", "At", 1)
