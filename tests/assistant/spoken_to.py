"""Skills that are spoken to, in a home where time passes only when it is told to."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

from assistant.skills import Services, Skills, Store
from assistant.skills.skills import Conversation, Planned
from assistant.skills.timers.alarms import Alarms
from assistant.skills.timers.due import Due
from assistant.skills.timers.reminders import Reminders
from assistant.skills.timers.stopwatch import Stopwatch
from assistant.skills.timers.timers import Timers

WEDNESDAY = datetime(2026, 12, 2, 17, 30, tzinfo=ZoneInfo("America/New_York"))


class Home:
    """A conversation with the skills that know of time; `announced` is what they said by themselves."""

    def __init__(self, now: datetime = WEDNESDAY, path: Path | None = None) -> None:
        self.now, self.path = now, path
        self.announced: list[str] = []
        self.restart()

    def restart(self) -> None:
        """As after a new start of the process: only the store is there as before."""
        store = self.services.store if hasattr(self, "services") and self.path is None else Store(self.path)
        self.services = Services(store, lambda: self.now, self.announced.append)
        self.due, self.stopwatch = Due(self.services), Stopwatch(self.services)
        self.__dict__.pop("conversation", None)

    @cached_property
    def conversation(self) -> Conversation:
        """Made when something is said: it takes a while to read all sentences."""
        skills = (
            Timers(self.services, self.due),
            Alarms(self.services, self.due),
            Reminders(self.services, self.due),
            self.stopwatch,
        )
        return Skills(skills, self.services).open()

    def plan(self, text: str) -> Planned | None:
        """What would come of it."""
        return self.conversation.answer(text)

    def say(self, text: str) -> str:
        """Say it, and have it done; returns what is said, "" if nothing was understood."""
        planned = self.plan(text)
        if planned is None:
            self.conversation.forget()
            return ""
        return asyncio.run(planned.act())

    def understood(self, text: str) -> tuple[str, Mapping[str, object]]:
        """The intent and its slots; "" if there is none."""
        planned = self.plan(text)
        return ("", {}) if planned is None else (planned.intent, planned.slots)

    def state(self) -> list[tuple[object, ...]]:
        """All that is kept."""
        store = self.services.store
        return store.read("SELECT * FROM due ORDER BY id") + store.read("SELECT * FROM stopwatch")

    def wait(self, **time: float) -> list[str]:
        """Let time pass as `timedelta` has it; returns what was announced meanwhile."""
        before, end = len(self.announced), self.now + timedelta(**time)
        while True:
            wait_s = self.due.ring()
            if self.now >= end:
                return self.announced[before:]
            left_s = end.timestamp() - self.now.timestamp()
            at_s = self.now.timestamp() + max(0.001, min(wait_s, left_s))
            self.now = datetime.fromtimestamp(at_s, self.now.tzinfo)
