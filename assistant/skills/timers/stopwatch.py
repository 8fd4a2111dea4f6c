"""A stopwatch: one for all, which goes on over a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from assistant.skills.sentences import our_own
from assistant.skills.skill import Answer, Choice, Intent, Services, Situation
from assistant.skills.timers.spans import in_words

_OURS = ("StartStopwatch", "StopStopwatch", "GetStopwatch", "ResetStopwatch")
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS stopwatch (id INTEGER PRIMARY KEY, started_s REAL, elapsed_s REAL NOT NULL)"
)


@dataclass(frozen=True)
class _Watch:
    started_s: float | None = None
    """Seconds since 1970; None while it stands still."""
    elapsed_s: float = 0.0
    """What ran before that."""

    def at(self, now: datetime) -> float:
        """Seconds on it."""
        return self.elapsed_s + (0.0 if self.started_s is None else now.timestamp() - self.started_s)


class Stopwatch:
    """See the module."""

    def __init__(self, services: Services) -> None:
        """Raises StoreError."""
        self._services, self._store = services, services.store
        self._store.write(_SCHEMA)

    @property
    def sentences(self) -> Sequence[Mapping[str, Any]]:
        """Home Assistant has none for a stopwatch."""
        return (our_own("stopwatch"),)

    @property
    def lists(self) -> Mapping[str, Sequence[Choice]]:
        """None."""
        return {}

    def answer(self, intent: Intent, situation: Situation) -> Answer | None:
        """See `Skill`."""
        text, before = intent.text.casefold(), situation.before
        named = any(word in text for word in ("stopwatch", "stop watch", "timing"))
        if not named and (before is None or before.name not in _OURS):
            return None
        watch, now = self._watch(), situation.now
        meant = Intent(intent.name, {}, intent.text)
        if intent.name == "GetStopwatch":
            return Answer(_said(watch, now), intent=meant)
        return self._changed(meant, watch, now)

    def _changed(self, intent: Intent, watch: _Watch, now: datetime) -> Answer:
        """What comes of a change; it is made to the watch as it is by then."""
        runs, at = watch.started_s is not None, in_words(watch.at(now))
        match intent.name:
            case "StartStopwatch":
                if runs:
                    return Answer(f"The stopwatch is running, at {at}.", intent=intent)
                text = f"The stopwatch goes on from {at}." if watch.elapsed_s else "The stopwatch is running."
            case "StopStopwatch":
                if not runs:
                    return Answer("The stopwatch is not running.", intent=intent)
                text = f"Stopped at {at}."
            case _:
                text = "The stopwatch is back at zero."
        return self._act(intent, text, watch)

    def _act(self, intent: Intent, text: str, before: _Watch) -> Answer:
        async def act() -> str | None:
            now = self._services.now()
            match intent.name:
                case "StartStopwatch":
                    self._keep(replace(before, started_s=now.timestamp()))
                case "StopStopwatch":
                    self._keep(_Watch(None, before.at(now)))
                    return f"Stopped at {in_words(before.at(now))}."
                case _:
                    self._keep(_Watch())
            return None

        async def undo() -> None:
            self._keep(before)

        return Answer(text, act, undo, intent)

    def _watch(self) -> _Watch:
        rows = self._store.read("SELECT started_s, elapsed_s FROM stopwatch")
        if not rows:
            return _Watch()
        started_s, elapsed_s = rows[0]
        return _Watch(None if started_s is None else float(str(started_s)), float(str(elapsed_s)))

    def _keep(self, watch: _Watch) -> None:
        self._store.write(
            "INSERT OR REPLACE INTO stopwatch (id, started_s, elapsed_s) VALUES (1, ?, ?)",
            watch.started_s,
            watch.elapsed_s,
        )


def _said(watch: _Watch, now: datetime) -> str:
    at = in_words(watch.at(now))
    if watch.started_s is not None:
        return f"The stopwatch is at {at}."
    return f"The stopwatch is stopped at {at}." if watch.elapsed_s else "The stopwatch is not running."
