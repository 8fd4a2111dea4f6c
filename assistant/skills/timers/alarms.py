"""Alarms: set, asked for, cancelled, snoozed; some come again on their days."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.timers.asked import Asked, ask_which, asked_time, time_slots
from assistant.skills.timers.due import Due, Item
from assistant.skills.timers.moments import clock_in_words, days_in_words, is_meant, moment, moment_in_words
from assistant.skills.timers.spans import and_more, in_words, listed, span
from assistant.skills.timers.times import When
from assistant.skills.timers.undoable import Change, undoable

_JUST_RUNG_S = 20.0
_SNOOZE_S = 600
_SAID = 4
_KNOWN_BY = ("when", "those", "day", "chosen")
"""Slots that say which alarm is meant."""


class Alarms:
    """See the module; `due` rings them."""

    def __init__(self, services: Services, due: Due) -> None:
        self._services, self._due = services, due
        self._answers: dict[str, Callable[[Asked], Answer | None]] = {
            "SetAlarm": self._set,
            "GetAlarms": self._get,
            "CancelAlarm": self._cancel,
            "CancelAllAlarms": self._cancel_all,
            "StopRinging": self._stop,
            "Snooze": self._snooze,
        }

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """Home Assistant has none for alarms."""
        return (our_own("alarms"),)

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """None."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        alarms = sorted(self._due.items("alarm"), key=lambda item: item.due_s or 0.0)
        return self._answers[intent.name](Asked(intent, situation, alarms))

    def _set(self, asked: Asked) -> Answer | None:
        before = asked.before("SetAlarm")
        said, instead_of = asked_time(asked, "when", "wake", "day"), None
        if "asked" in asked.slots:
            said = _completed(asked, before)
        elif "moved" in asked.slots:
            return self._move(asked)
        elif "that" in asked.slots and before:
            instead_of = next((item for item in asked.items[::-1] if _is_of(item, before, asked)), None)
            said = (_completed_day(asked, before, "when") or said) if instead_of else None
        elif "that" in asked.slots:
            said = None
        if said is None or ("wake" in asked.slots and said.clock is None and said.span is None):
            return None
        return self._set_for(asked, said, instead_of)

    def _move(self, asked: Asked) -> Answer | None:
        """To another time, which is on the same day unless that is said."""
        known, to = asked_time(asked, "known"), asked_time(asked, "moved")
        if known is None or to is None or not asked.items:
            return None
        now = asked.situation.now
        found = [item for item in asked.items if is_meant(known, _at(item, now), now)]
        if len(found) != 1:
            return Answer(
                f"Which one? There are {listed([_said(item, now) for item in asked.items[:_SAID]])}."
            )
        if not to.day and not to.span and not to.days:
            to = replace(to, day=f"{_at(found[0], now):%Y-%m-%d}", days=found[0].days)
        return self._set_for(asked, to, found[0])

    def _set_for(self, asked: Asked, said: When, instead_of: Item | None) -> Answer:
        now = asked.situation.now
        if said.clock is None and said.span is None:
            slots = {"day": said.day} if said.day else {}
            return Answer("For what time?", intent=asked.meant(slots, open_ended=True))
        at = moment(said, now, early=True)
        if at is None:
            return Answer("That time is over already.", intent=asked.meant(time_slots(said, None)))
        text = f"{clock_in_words(at)} {days_in_words(said.days)}" if said.days else moment_in_words(at, now)

        def change() -> Change:
            due = moment(said, self._services.now(), early=True) if said.span else at
            assert due is not None, "a duration is always to come"
            number = instead_of.id if instead_of else 0
            clock = f"{due:%H:%M}" if said.days else ""
            item = Item("alarm", due.timestamp(), clock=clock, days=said.days, id=number)
            return Change((instead_of,) if instead_of else (), (self._due.put(item),))

        intent = asked.meant(time_slots(said, at), open_ended=said.open_ended)
        verb = "is now set" if instead_of else "set"
        return undoable(self._due, replace(intent, name="SetAlarm"), f"Alarm {verb} for {text}.", change)

    def _get(self, asked: Asked) -> Answer | None:
        found = _meant(asked)
        if found is None:
            return None
        now, meant = asked.situation.now, asked.meant(time_slots(asked_time(asked, "when") or When(), None))
        if not found:
            return Answer(f"You have no alarm{' then' if asked.items else ' set'}.", intent=meant)
        text = asked.intent.text.casefold()
        if "next" in text or "wake" in text or text.startswith("how long"):
            found = found[:1]
        alarms = listed([_said(item, now) for item in found[:_SAID]])
        if len(found) > 1:
            more = and_more(len(found) - _SAID)
            return Answer(f"You have {len(found)} alarms: {alarms}.{more}", intent=meant)
        if text.startswith("how "):
            return Answer(f"It rings in {in_words(found[0].left(now))}, at {alarms}.", intent=meant)
        return Answer(f"Your alarm is set for {alarms}.", intent=meant)

    def _cancel(self, asked: Asked) -> Answer | None:
        if self._rung() and not asked.slots.keys() & set(_KNOWN_BY):
            return self._stop(asked) if "alarm" in asked.intent.text.casefold() else None
        before = asked.before("SetAlarm", "CancelAlarm", "GetAlarms")
        found = _meant(asked)
        if "that" in asked.slots:
            if before is None:
                return None
            found = [item for item in asked.items if _is_of(item, before, asked)]
        elif "chosen" in asked.slots:
            if before is None or "which" not in before.slots:
                return None
            if str(asked.slots["chosen"]).casefold() in ("both", "all", "all of them", "both of them"):
                return self._cancel_all(asked)
        if found is None:
            return None
        if not found:
            return Answer("There is no such alarm." if asked.items else "There is no alarm to cancel.")
        if "those" in asked.slots:
            return self._cancel_these(asked, found, "They are off." if len(found) > 1 else "It is off.")
        if len(found) > 1:
            return ask_which(asked, [_said(item, asked.situation.now) for item in found])
        return self._cancel_these(
            asked, found, f"The alarm for {_said(found[0], asked.situation.now)} is off."
        )

    def _cancel_all(self, asked: Asked) -> Answer:
        if not asked.items:
            return Answer("There is no alarm to cancel.")
        count = len(asked.items)
        return self._cancel_these(
            asked, asked.items, f"All {count} alarms are off." if count > 1 else "The alarm is off."
        )

    def _cancel_these(self, asked: Asked, alarms: Sequence[Item], text: str) -> Answer:
        def change() -> Change:
            for alarm in alarms:
                self._due.remove(alarm)
            return Change(alarms)

        said = asked_time(asked, *_KNOWN_BY)
        slots = time_slots(said, _at(alarms[0], asked.situation.now)) if said and len(alarms) == 1 else {}
        return undoable(self._due, asked.meant(slots), text, change)

    def _stop(self, asked: Asked) -> Answer | None:
        """Whatever rings, or rang until the user spoke; reminders do not go on."""
        rung = self._due.rung(_JUST_RUNG_S)
        if not self._due.ringing and (rung is None or rung.kind == "reminder"):
            return None

        def change() -> Change:
            self._due.silence()
            return Change()

        return undoable(self._due, asked.meant({}), "Okay.", change)

    def _snooze(self, asked: Asked) -> Answer | None:
        rung = self._rung() or self._due.rung(_JUST_RUNG_S)
        words = str(asked.slots.get("span", asked.slots.get("more", "")))
        length = span(words) if words else None
        if (words and length is None) or ("more" in asked.slots and not (length and length.more)):
            return None
        if rung is None:
            return Answer("No alarm is ringing.") if "snooze" in asked.intent.text.casefold() else None
        again = Item(rung.kind, None, rung.text, rung.length_s)
        length_s = length.total_s if length else _SNOOZE_S

        def change() -> Change:
            self._due.silence()
            later_s = self._services.now().timestamp() + length_s
            return Change((), (self._due.put(replace(again, due_s=later_s)),))

        intent = asked.meant(length.slots if length else {})
        verb = {"alarm": "wake you", "reminder": "remind you", "timer": "ring"}[rung.kind]
        return undoable(self._due, intent, f"I'll {verb} again in {in_words(length_s)}.", change)

    def _rung(self) -> Item | None:
        """The alarm that rings, or rang until the user spoke."""
        rung = self._due.rung(_JUST_RUNG_S)
        ringing = [item for item in self._due.ringing if item.kind == "alarm"]
        return ringing[-1] if ringing else rung if rung and rung.kind == "alarm" else None


def _completed(asked: Asked, before: Intent | None) -> When | None:
    """The answer to "For what time?"."""
    if before is None or before.slots.keys() & {"time", "days", "hours", "minutes", "seconds"}:
        return None
    return _completed_day(asked, before, "asked") or asked_time(asked, "asked")


def _completed_day(asked: Asked, before: Intent, slot: str) -> When | None:
    """A time of the day that was spoken of before; None if it names another."""
    return asked_time(asked, slot, prefix=str(before.slots.get("day", "")))


def _meant(asked: Asked) -> list[Item] | None:
    """The alarms that are known by what was said; None if that is no time."""
    if not asked.slots.keys() & set(_KNOWN_BY):
        return list(asked.items)
    said = asked_time(asked, *_KNOWN_BY)
    if said is None:
        return None
    now = asked.situation.now
    return [item for item in asked.items if is_meant(said, _at(item, now), now)]


def _is_of(item: Item, before: Intent, asked: Asked) -> bool:
    """Whether it is the alarm that was spoken of in the turn before."""
    at = _at(item, asked.situation.now)
    return "time" not in before.slots or before.slots["time"] == f"{at:%H:%M}"


def _at(item: Item, now: datetime) -> datetime:
    assert item.due_s is not None, "alarms do not pause"
    return datetime.fromtimestamp(item.due_s, now.tzinfo)


def _said(item: Item, now: datetime) -> str:
    at = _at(item, now)
    return f"{clock_in_words(at)} {days_in_words(item.days)}" if item.days else moment_in_words(at, now)
