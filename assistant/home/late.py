"""A home that is there once it is connected: skills are made before."""

from collections.abc import Callable

from assistant.home.entities import Command, Entity, Home, State
from assistant.home.scripted import ScriptedHome


class LateHome:
    """Empty until `become`."""

    def __init__(self, home: Home | None = None) -> None:
        self._home: Home = home or ScriptedHome(())
        self._changed: Callable[[], None] = lambda: None

    def become(self, home: Home) -> None:
        """Take the place of `home`."""
        self._home = home
        home.changed = self._changed
        self._changed()

    @property
    def changed(self) -> Callable[[], None]:
        """See Home."""
        return self._changed

    @changed.setter
    def changed(self, changed: Callable[[], None]) -> None:
        self._changed = self._home.changed = changed

    @property
    def entities(self) -> tuple[Entity, ...]:
        """See Home."""
        return self._home.entities

    def state(self, entity_id: str) -> State | None:
        """See Home."""
        return self._home.state(entity_id)

    async def command(self, entity_id: str, command: Command) -> State | None:
        """See Home."""
        return await self._home.command(entity_id, command)
