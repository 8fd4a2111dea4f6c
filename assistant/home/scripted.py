"""A home without devices: what it is told happens at once. For the evaluation, and for trying things out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from assistant.home.effects import effect
from assistant.home.entities import Command, Domain, Entity, HomeUnavailable, State


class ScriptedHome:
    """Keeps the states of its entities; all are off, closed or locked at first."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self.entities = tuple(entities)
        self.changed: Callable[[], None] = lambda: None
        self.commands: list[tuple[str, Command]] = []
        """What it was told, in order."""
        self._states = {entity.id: State(_AT_FIRST.get(entity.domain, "unknown")) for entity in entities}

    @classmethod
    def from_dict(cls, home: Mapping[str, Any]) -> "ScriptedHome":
        """A home of `{"entities": [{"name", "area", "domain"}, ...]}`. Raises ValueError."""
        return cls([_entity(fields) for fields in home["entities"]])

    def state(self, entity_id: str) -> State | None:
        """See Home."""
        return self._states.get(entity_id)

    async def command(self, entity_id: str, command: Command) -> State | None:
        """See Home."""
        entity = next((entity for entity in self.entities if entity.id == entity_id), None)
        if entity is None:
            raise HomeUnavailable("it is not there any more")
        self._states[entity_id] = effect(entity.domain, command, self._states[entity_id])
        self.commands.append((entity_id, command))
        return self._states[entity_id]


_AT_FIRST: Mapping[Domain, str] = {
    "climate": "heat",
    "cover": "closed",
    "fan": "off",
    "light": "off",
    "lock": "locked",
    "media_player": "on",
    "switch": "off",
    "vacuum": "docked",
}


def _entity(fields: Mapping[str, Any]) -> Entity:
    name, domain = str(fields["name"]), fields["domain"]
    if domain not in get_args(Domain):
        raise ValueError(f"{name!r} is a {domain!r}, which is none of {', '.join(get_args(Domain))}")
    return Entity(f"{domain}.{name.replace(' ', '_')}", name, domain, str(fields.get("area") or ""))
