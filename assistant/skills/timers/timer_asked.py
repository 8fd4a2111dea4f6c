"""An intent about timers, and the timers that it may be about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from assistant.skills.skill import Answer, Intent, Situation
from assistant.skills.timers.due import Item, timer_name
from assistant.skills.timers.spans import in_words
from assistant.skills.timers.timer_words import Request, request

THEIRS = (
    "HassStartTimer",
    "HassCancelTimer",
    "HassCancelAllTimers",
    "HassIncreaseTimer",
    "HassDecreaseTimer",
    "HassPauseTimer",
    "HassUnpauseTimer",
    "HassTimerStatus",
)
"""Home Assistant's names of what can be asked."""


@dataclass(frozen=True)
class TimerAsked:
    """An intent with what it says, and the timers that it may be about."""

    intent: Intent
    request: Request
    situation: Situation
    timers: Sequence[Item]
    """Those that run or are paused, oldest first."""

    @property
    def before(self) -> Intent | None:
        """The turn before, if it was about timers."""
        before = self.situation.before
        return before if before and before.name in THEIRS else None

    @property
    def named(self) -> bool:
        """Whether timers are spoken of by this word."""
        return "timer" in self.intent.text.casefold()

    def found(self) -> list[Item]:
        """The timers that are meant, oldest first; of those like the one spoken of last, the newest."""
        if not self.request.that or self.before is None:
            return like(self.request, self.timers)
        spoken_of = last(self.before)
        found = like(spoken_of, self.timers)
        return found[-1:] if spoken_of.name or spoken_of.start else found

    def meant(self, said: Request | None = None, *, open_ended: bool = False) -> Intent:
        """The intent with what its words mean."""
        slots = (said or self.request).slots()
        return Intent(self.intent.name, slots, self.intent.text, open_ended)

    def meant_one(self) -> Intent:
        """The same, with what "it" was."""
        said = self.request
        if said.that and self.before is not None:
            spoken_of = last(self.before)
            said = replace(said, name=spoken_of.name, start=None if spoken_of.name else spoken_of.start)
        return self.meant(said)

    def unknown(self) -> Answer | None:
        """What is said where no timer is meant; None if timers may not be meant at all."""
        said = self.request
        if not self.named:
            return None
        known_by = said.name or (said.start.words if said.start else "such")
        return Answer(
            f"There is no timer for {known_by}." if said.start else f"There is no {known_by} timer."
        )

    def the(self, timer: Item) -> str:
        """The timer as the subject of a sentence."""
        return f"The {timer_name(timer)}" if self._has_name(timer) else "The timer"

    def left(self, timer: Item) -> str:
        """How much is left of it, as a sentence."""
        left = in_words(timer.left(self.situation.now))
        if timer.due_s is None:
            return f"{self.the(timer)} is paused with {left} left."
        return f"{left} left{self.on(timer)}."

    def on(self, timer: Item) -> str:
        """Which timer it is that something is left on, if that is to be said."""
        return f" on the {timer_name(timer)}" if self._has_name(timer) else ""

    def _has_name(self, timer: Item) -> bool:
        """Whether it is to be called by more than "the timer"."""
        return bool(timer.text or self.request.start or len(self.timers) > 1)

    def order(self, timer: Item) -> tuple[bool, float]:
        """The next first, and those that are paused behind."""
        return timer.due_s is None, timer.left(self.situation.now)


def last(before: Intent) -> Request:
    """What the timer was known by that was spoken of last."""
    said = request(before) or Request()
    return replace(said, start=said.length if before.name == "HassStartTimer" else said.start)


def like(said: Request, timers: Sequence[Item]) -> list[Item]:
    """Those of this name, and of this duration."""
    return [
        timer
        for timer in timers
        if (not said.name or _singular(timer.text) == _singular(said.name))
        and (said.start is None or timer.length_s == said.start.total_s)
    ]


def _singular(name: str) -> str:
    return name.removesuffix("s")
