"""Timers, with Home Assistant's intents: several at a time, named or known by how long they were to run."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from assistant.skills.sentences import home_assistant, our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.timers.due import Due, Item, Kind, timer_name
from assistant.skills.timers.figures import in_figures
from assistant.skills.timers.spans import UNITS, Unit, and_more, in_words, listed, span
from assistant.skills.timers.timer_asked import THEIRS, TimerAsked, last, like
from assistant.skills.timers.timer_words import Request, request
from assistant.skills.timers.undoable import Change, undoable

_NOT_OURS = ("{area}", "{timer_command")
"""Timers have no area here, and run no commands."""
_JUST_RUNG_S = 20.0
_SAID = 4
_PLACES = {"first": 0, "oldest": 0, "second": 1, "third": 2, "last": -1, "newest": -1, "latest": -1}
_GONE = ("HassCancelTimer", "HassCancelAllTimers")
"""After these there is no timer that "make it ten" could mean."""
_UNFINISHED = re.compile(r"(?:\d|(?<!half )(?<!of )\b(?:an|\d+) hours?)\W*$")
"""A number may get a unit yet, and an hour may be an hour and a half."""
_EVERY = ("both", "all", "all of them", "both of them", "every one", "all of those")


class Timers:
    """See the module; `due` rings them."""

    def __init__(self, services: Services, due: Due) -> None:
        self._services, self._due = services, due
        self._answers: dict[str, Callable[[TimerAsked], Answer | None]] = {
            "HassStartTimer": self._start,
            "HassCancelTimer": self._cancel,
            "HassCancelAllTimers": self._cancel_all,
            "HassIncreaseTimer": self._increase,
            "HassDecreaseTimer": self._decrease,
            "HassPauseTimer": self._pause,
            "HassUnpauseTimer": self._unpause,
            "HassTimerStatus": self._status,
            "ChooseTimer": self._choose,
        }

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """Home Assistant's, and ours."""
        return (_without_areas(home_assistant(*THEIRS)), our_own("timers"))

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """None: names of timers are free."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        said = request(intent)
        if said is None:
            return None
        running = [item for item in self._due.items("timer") if item.left(situation.now) > 0]
        asked = TimerAsked(intent, said, situation, running)
        if "known" in intent.slots and not asked.found():
            return None
        return self._answers[intent.name](asked)

    def _start(self, asked: TimerAsked) -> Answer | None:
        said, before, slots = asked.request, asked.before, asked.intent.slots
        if "another" in slots and before is None:
            return None
        if (
            before
            and before.name == "HassStartTimer"
            and not last(before).start
            and ("asked" in slots or said.that)
        ):
            said = replace(said, that=False, name=str(before.slots.get("name", "")))
        elif "asked" in slots:
            return None
        elif said.that or "change" in asked.intent.slots:
            return self._change(asked)
        if said.length is None:
            return Answer("For how long?", intent=asked.meant(said, open_ended=True))
        if said.length.more and asked.timers:
            return None
        return self._start_one(asked, said)

    def _start_one(self, asked: TimerAsked, said: Request, instead_of: Item | None = None) -> Answer:
        """A new timer, or another time for one that runs."""
        assert said.length is not None, "known by now"
        length_s = said.length.total_s
        set_for = "is now set for" if instead_of else "set for"
        name = f"{said.name} timer" if said.name else "timer"
        text = f"{'The ' if instead_of else ''}{name} {set_for} {said.length.words}."

        def change() -> Change:
            due_s = self._services.now().timestamp() + length_s
            known = (instead_of,) if instead_of else ()
            number = instead_of.id if instead_of else 0
            return Change(known, (self._due.put(Item("timer", due_s, said.name, length_s, id=number)),))

        more_may_follow = _UNFINISHED.search(in_figures(asked.intent.text)) is not None
        intent = asked.meant(replace(said, start=None), open_ended=more_may_follow)
        return undoable(self._due, intent, text[0].upper() + text[1:], change)

    def _change(self, asked: TimerAsked) -> Answer | None:
        """ "Make it ten", after "set a timer for five minutes"."""
        before, length = asked.before, asked.request.length
        if length is None or length.more or (asked.request.name and not asked.found()):
            return None
        if asked.request.that and (before is None or before.name in _GONE):
            return None
        if length.bare and before:
            length = span(str(length.minutes), _unit(before)) or length
        found = asked.found()
        if not found:
            return Answer("No timer is running.", intent=asked.meant()) if asked.named else None
        return self._start_one(asked, Request(replace(length, bare=False), found[-1].text), found[-1])

    def _cancel(self, asked: TimerAsked) -> Answer | None:
        rings = any(item.kind == "timer" for item in self._due.ringing)
        if not (asked.request.name or asked.request.start) and (
            rings or (asked.named and not asked.timers and self._rung("timer"))
        ):
            return undoable(self._due, asked.meant(), "Okay.", self._silence)
        return self._with_one(asked, self._cancel_one)

    def _rung(self, kind: Kind) -> bool:
        """Whether one of this kind rings, or did until the user spoke."""
        rung = self._due.rung(_JUST_RUNG_S)
        return rung is not None and rung.kind == kind

    def _silence(self) -> Change:
        self._due.silence()
        return Change()

    def _cancel_one(self, asked: TimerAsked, timer: Item) -> Answer:
        def change() -> Change:
            self._due.remove(timer)
            return Change((timer,))

        return undoable(self._due, asked.meant_one(), f"{asked.the(timer)} is cancelled.", change)

    def _cancel_all(self, asked: TimerAsked) -> Answer | None:
        timers = asked.timers
        if not timers:
            return Answer("No timer is running.") if asked.named else None

        def change() -> Change:
            for timer in timers:
                self._due.remove(timer)
            return Change(timers)

        text = f"All {len(timers)} timers are cancelled." if len(timers) > 1 else "The timer is cancelled."
        return undoable(self._due, asked.meant(Request()), text, change)

    def _increase(self, asked: TimerAsked) -> Answer | None:
        return self._add(asked, 1)

    def _decrease(self, asked: TimerAsked) -> Answer | None:
        return self._add(asked, -1)

    def _add(self, asked: TimerAsked, sign: int) -> Answer | None:
        length = asked.request.length
        short = asked.intent.slots.keys() & {"followed", "more"}
        if length is None or (length.bare and asked.before is None and not asked.named):
            return None
        if short and (not asked.timers or self._rung("alarm")):
            return None
        if short and asked.before:
            asked = replace(asked, request=replace(asked.request, that=True))
        return self._with_one(asked, lambda asked, timer: self._add_to(asked, timer, sign * length.total_s))

    def _add_to(self, asked: TimerAsked, timer: Item, more_s: int) -> Answer:
        left_s = timer.left(asked.situation.now) + more_s
        intent = asked.meant_one()
        if left_s <= 0:
            return Answer(f"There are only {in_words(left_s - more_s)} left on it.", intent=intent)

        def change() -> Change:
            now = self._services.now()
            if timer.left(now) <= 0:
                return Change(said="That timer is over already.")
            due_s = None if timer.due_s is None else timer.due_s + more_s
            longer = replace(timer, due_s=due_s, left_s=timer.left_s + more_s if due_s is None else 0.0)
            return Change((timer,), (self._due.put(longer),))

        return undoable(self._due, intent, f"Now {in_words(left_s)} left{asked.on(timer)}.", change)

    def _pause(self, asked: TimerAsked) -> Answer | None:
        running = [item for item in asked.timers if item.due_s is not None]
        if asked.timers and not running and not asked.request.name:
            return Answer("It is paused already.", intent=asked.meant_one())
        return self._with_one(replace(asked, timers=running), self._pause_one)

    def _pause_one(self, asked: TimerAsked, timer: Item) -> Answer:
        def change() -> Change:
            left_s = timer.left(self._services.now())
            if left_s <= 0:
                return Change(said="That timer is over already.")
            return Change((timer,), (self._due.put(replace(timer, due_s=None, left_s=left_s)),))

        left = in_words(timer.left(asked.situation.now))
        return undoable(
            self._due, asked.meant_one(), f"{asked.the(timer)} is paused with {left} left.", change
        )

    def _unpause(self, asked: TimerAsked) -> Answer | None:
        paused = [item for item in asked.timers if item.due_s is None]
        if asked.timers and not paused and not asked.request.name:
            return Answer("It is running.", intent=asked.meant_one()) if asked.named else None
        return self._with_one(replace(asked, timers=paused), self._unpause_one)

    def _unpause_one(self, asked: TimerAsked, timer: Item) -> Answer:
        def change() -> Change:
            due_s = self._services.now().timestamp() + timer.left_s
            return Change((timer,), (self._due.put(replace(timer, due_s=due_s, left_s=0.0)),))

        text = f"{asked.the(timer)} goes on with {in_words(timer.left_s)} left."
        return undoable(self._due, asked.meant_one(), text, change)

    def _status(self, asked: TimerAsked) -> Answer | None:
        said = asked.request
        if not asked.timers:
            if asked.before is None and not asked.named:
                return None
            return Answer(
                "The timer is done." if self._rung("timer") else "No timer is running.", intent=asked.meant()
            )
        found = asked.found()
        if not found:
            return asked.unknown()
        found.sort(key=lambda item: asked.order(item))
        text = " ".join(asked.left(item) for item in found[:_SAID])
        if len(found) > 1:
            text = f"You have {len(found)} timers. {text}{and_more(len(found) - _SAID)}"
        return Answer(text, intent=asked.meant(replace(said, that=False)))

    def _choose(self, asked: TimerAsked) -> Answer | None:
        """The answer to "Which one?"."""
        before, words = asked.before, str(asked.intent.slots["chosen"]).casefold().removeprefix("the ")
        if before is None or "which" not in before.slots:
            return None
        slots = {name: value for name, value in before.slots.items() if name != "which"}
        asked = replace(asked, intent=Intent(before.name, slots, asked.intent.text))
        if words in _EVERY:
            return self._cancel_all(asked) if before.name == "HassCancelTimer" else None
        said, place = asked.request, _PLACES.get(words.split()[0])
        chosen = asked.timers[place:][:1] if place is not None else like(said, asked.timers)
        if not chosen or not (place is not None or said.name or said.start):
            return None
        was = request(asked.intent) or Request()
        asked = replace(asked, timers=chosen, request=replace(was, name=said.name, start=said.start))
        return self._answers[before.name](asked)

    def _with_one(self, asked: TimerAsked, then: Callable[[TimerAsked, Item], Answer]) -> Answer | None:
        """What comes of it for the one timer that is meant, or a question which it is."""
        if asked.request.that and asked.before is None:
            return None
        if not asked.timers:
            return Answer("No timer is running.", intent=asked.meant()) if asked.named else None
        found = asked.found()
        if not found:
            return asked.unknown()
        if len({timer_name(item) for item in found}) > 1:
            names = listed([f"the {timer_name(item)}" for item in found])
            meant = asked.meant(asked.request, open_ended=True)
            return Answer(
                f"Which one? You have {names}.", intent=replace(meant, slots={**meant.slots, "which": "?"})
            )
        return then(asked, found[-1])


def _unit(before: Intent) -> Unit:
    """The unit of "make it ten": the only one that was said before."""
    said: list[Unit] = [unit for unit in UNITS if unit in before.slots]
    return said[0] if len(said) == 1 else "minutes"


def _without_areas(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """Templates that ask for nothing that is not there."""
    return {
        "intents": {
            name: {"data": [{**data, "sentences": _ours(data["sentences"])} for data in intent["data"]]}
            for name, intent in table["intents"].items()
        }
    }


def _ours(sentences: Sequence[str]) -> list[str]:
    return [sentence for sentence in sentences if not any(part in sentence for part in _NOT_OURS)]
