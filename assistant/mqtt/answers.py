"""Commands that wait for the state that their entity reports."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from assistant.home.effects import fulfils
from assistant.home.entities import Command, Domain, HomeUnavailable, State

_MOST = 64  # commands under way at once


@dataclass(eq=False)
class Answer:
    """What came in since a command was sent."""

    domain: Domain
    command: Command
    latest: State | None = None
    fulfilled: asyncio.Future[State] = field(default_factory=asyncio.Future)


class Answers:
    """The commands under way, by entity."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Answer]] = {}

    @contextmanager
    def expected(self, entity_id: str, domain: Domain, command: Command) -> Iterator[Answer]:
        """An answer to `command`, while it is waited for. Raises HomeUnavailable for too many at once."""
        if sum(map(len, self._waiting.values())) >= _MOST:
            raise HomeUnavailable("too many commands are under way")
        answer = Answer(domain, command)
        waiting = self._waiting.setdefault(entity_id, [])
        waiting.append(answer)
        try:
            yield answer
        finally:
            if not answer.fulfilled.cancel() and not answer.fulfilled.cancelled():
                answer.fulfilled.exception()  # nobody may have been there to see it
            waiting.remove(answer)
            if not waiting:
                self._waiting.pop(entity_id, None)

    def reported(self, entity_id: str, state: State | None) -> None:
        """An entity reports `state` now."""
        for answer in self._waiting.get(entity_id, ()):
            answer.latest, fulfilled = state, answer.fulfilled
            if state and not fulfilled.done() and fulfils(answer.domain, answer.command, state):
                fulfilled.set_result(state)

    def fail(self, why: str) -> None:
        """The broker is gone, and with it what it would have said of the commands under way."""
        for answer in [answer for waiting in self._waiting.values() for answer in waiting]:
            if not answer.fulfilled.done():
                answer.fulfilled.set_exception(HomeUnavailable(why, in_doubt=True))
