"""Timers, alarms and reminders: kept in the store, and said when they are due."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, get_args

from assistant.skills.skill import Services
from assistant.skills.store import StoreError
from assistant.skills.timers.moments import again, clock_in_words, day_in_words
from assistant.skills.timers.spans import in_words

Kind = Literal["timer", "alarm", "reminder"]
_AGAIN_S = 20.0
_ALARM_S, _TIMER_RINGS = 300.0, 2
_LATE_S = 60.0
"""From then on it is said how late it is: the process was not there, or the machine slept."""
_LONGEST_WAIT_S = 30.0
"""The clock on the wall may be set, and machines sleep: it is looked at again."""
_SCHEMA = """CREATE TABLE IF NOT EXISTS due (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, due_s REAL, text TEXT NOT NULL,
    length_s REAL NOT NULL, left_s REAL NOT NULL, clock TEXT NOT NULL, days TEXT NOT NULL)"""
_COLUMNS = "id, kind, due_s, text, length_s, left_s, clock, days"


@dataclass(frozen=True)
class Item:
    """What is due at some time."""

    kind: Kind
    due_s: float | None
    """Seconds since 1970, so no change of daylight saving moves it; None while it is paused."""
    text: str = ""
    """Name of a timer, or what to remind of."""
    length_s: float = 0.0
    """Of a timer, as it was started."""
    left_s: float = 0.0
    """Of a timer that is paused."""
    clock: str = ""
    """Of an alarm or a reminder that comes again, as "07:00" on the clock of the user."""
    days: str = ""
    """Weekdays on which it comes again; "0" is Monday."""
    id: int = 0

    def left(self, now: datetime) -> float:
        """Seconds that are left; below 0 once it is over."""
        return self.left_s if self.due_s is None else self.due_s - now.timestamp()


@dataclass(frozen=True)
class _Ringing:
    since_s: float
    times: int
    next_s: float


class Due:
    """Keeps what is due and rings it. Used from one thread, that of the event loop."""

    def __init__(self, services: Services) -> None:
        """Raises StoreError."""
        self._services, self._store = services, services.store
        self._store.write(_SCHEMA)
        self._ringing: dict[int, _Ringing] = {}
        self._silent: set[int] = set()  # over, and still in a store that could not be written
        self._rung: tuple[Item, float] | None = None
        self._changed = asyncio.Event()

    def items(self, kind: Kind) -> list[Item]:
        """All of a kind, oldest first, with those that are over and still ring; raises StoreError."""
        return [item for item in self._all() if item.kind == kind]

    def put(self, item: Item) -> Item:
        """Add it, or put it in place of the one with its id; returns it with its id. Raises StoreError."""
        values = (item.kind, item.due_s, item.text, item.length_s, item.left_s, item.clock, item.days)
        number = self._store.write(
            f"INSERT OR REPLACE INTO due ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            item.id or None,
            *values,
        )
        self._rings_no_more(number)
        return replace(item, id=number)

    def remove(self, item: Item) -> None:
        """Forget it; raises StoreError."""
        self._store.write("DELETE FROM due WHERE id = ?", item.id)
        self._rings_no_more(item.id)

    def restore(self, before: Iterable[Item], after: Iterable[Item]) -> None:
        """Put back what was there `before` in place of what came `after`; raises StoreError."""
        for item in after:
            self.remove(item)
        for item in before:
            self.put(item)

    @property
    def ringing(self) -> list[Item]:
        """What rings, oldest first; raises StoreError."""
        return [item for item in self._all() if item.id in self._ringing.keys() - self._silent]

    def rung(self, within_s: float) -> Item | None:
        """What rang last, unless that was longer ago: the user's turn may have silenced it already."""
        if self._rung is None or self._now_s() - self._rung[1] > within_s:
            return None
        return self._rung[0]

    def silence(self) -> None:
        """Stop what rings; alarms that come again come on their next day."""
        if not self._ringing:
            return
        with suppress(StoreError):  # `ring` tries again; it is silent all the same
            ringing = self.ringing
            self._silent.update(self._ringing)
            for item in ringing:
                self._over(item)

    async def run(self) -> None:
        """Ring what is due, until cancelled; raises StoreError."""
        while True:
            self._changed.clear()
            wait_s = self.ring()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def ring(self) -> float:
        """Ring what is due now; returns the seconds until it is to be called again. Raises StoreError."""
        now_s, failed = self._now_s(), None
        for item in sorted(self._all(), key=lambda item: (item.due_s or 0.0, item.id)):
            if item.due_s is not None and item.due_s <= now_s:
                try:
                    self._ring(item, item.due_s, now_s)
                except StoreError as error:
                    failed = error  # it was said, and so are the others
        if failed:
            raise failed
        waits = [self._next_s(item) - now_s for item in self._all() if item.due_s is not None]
        return max(0.0, min([_LONGEST_WAIT_S, *waits]))

    def _next_s(self, item: Item) -> float:
        assert item.due_s is not None, "it runs"
        return self._ringing[item.id].next_s if item.id in self._ringing else item.due_s

    def _ring(self, item: Item, due_s: float, now_s: float) -> None:
        """Say it before it is marked as said: a process killed between says it twice, not never."""
        if item.id in self._silent:
            self._over(item)
            return
        ringing = self._ringing.get(item.id, _Ringing(now_s, 0, now_s))
        if now_s < ringing.next_s - _AGAIN_S:
            ringing = replace(ringing, next_s=now_s)  # the clock was put back
        if ringing.next_s > now_s:
            return
        late_s = now_s - due_s if not ringing.times else 0.0
        if ringing.times and now_s - ringing.since_s > _ALARM_S:
            self._over(item)
            return
        self._services.announce(self._said(item, due_s, late_s))
        self._rung = (item, now_s)
        times = ringing.times + 1
        if late_s >= _ALARM_S or not self._goes_on(item, ringing.since_s, times, now_s):
            self._over(item)
        else:
            self._ringing[item.id] = _Ringing(ringing.since_s, times, now_s + _AGAIN_S)

    def _goes_on(self, item: Item, since_s: float, times: int, now_s: float) -> bool:
        """Whether it rings once more."""
        if item.kind == "alarm":
            return now_s + _AGAIN_S - since_s <= _ALARM_S
        return item.kind == "timer" and times < _TIMER_RINGS

    def _over(self, item: Item) -> None:
        self._silent.add(item.id)
        if item.days:
            hour, minute = (int(number) for number in item.clock.split(":"))
            self.put(replace(item, due_s=again(hour, minute, item.days, self._services.now()).timestamp()))
        else:
            self.remove(item)

    def _rings_no_more(self, number: int) -> None:
        self._ringing.pop(number, None)
        self._silent.discard(number)
        self._changed.set()

    def _said(self, item: Item, due_s: float, late_s: float) -> str:
        """What is said as it rings."""
        now = self._services.now()
        late = late_s >= _LATE_S
        ago = f"{in_words(late_s // 60 * 60)} ago"
        if item.kind == "timer":
            return f"Your {timer_name(item)} ended {ago}." if late else f"Your {timer_name(item)} is done."
        at = datetime.fromtimestamp(due_s, now.tzinfo)
        if item.kind == "alarm":
            if not late:
                return f"It's {clock_in_words(now)}, and this is your alarm."
            return f"Your alarm for {clock_in_words(at)} was due {ago}."
        if not late:
            return f"Here is your reminder: {item.text}."
        day = "" if at.date() == now.date() else f" {day_in_words(at.date(), now.date())}"
        return f"I was to remind you at {clock_in_words(at)}{day}, {ago}: {item.text}."

    def _all(self) -> list[Item]:
        rows = self._store.read(f"SELECT {_COLUMNS} FROM due ORDER BY id")
        return [_item(row) for row in rows if row[1] in get_args(Kind)]  # a newer version may know more

    def _now_s(self) -> float:
        return self._services.now().timestamp()


def timer_name(item: Item) -> str:
    """As it is called: "pasta timer", "10-minute timer"."""
    if item.text:
        return f"{item.text} timer"
    for unit, unit_s in (("hour", 3600), ("minute", 60), ("second", 1)):
        if item.length_s % unit_s == 0 and item.length_s < 120 * unit_s:
            return f"{item.length_s // unit_s:.0f}-{unit} timer"
    return f"timer for {in_words(item.length_s)}"


def _item(row: tuple[object, ...]) -> Item:
    number, kind, due_s, text, length_s, left_s, clock, days = row
    kinds: tuple[Kind, ...] = get_args(Kind)
    return Item(
        next(known for known in kinds if known == kind),
        None if due_s is None else float(str(due_s)),
        str(text),
        float(str(length_s)),
        float(str(left_s)),
        str(clock),
        str(days),
        int(str(number)),
    )
