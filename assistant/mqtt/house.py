"""The entities behind a broker and what they reported, pure: messages in, and out what to subscribe to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from assistant.home.entities import UNAVAILABLE, Attribute, Entity, State
from assistant.mqtt.fields import Invalid
from assistant.mqtt.messages import Component, read_discovery
from assistant.mqtt.parts import VALUE

MOST_ENTITIES = 1000
MOST_STATE_BYTES = 32_768
"""Longer payloads on a device's own topics say nothing."""


@dataclass
class Known:
    """An entity, and what it has said so far."""

    component: Component
    values: dict[str, Attribute] = field(default_factory=dict)
    online: dict[str, bool] = field(default_factory=dict)
    assumed: bool = False

    @property
    def reports(self) -> bool:
        """Whether it ever says what became of a command."""
        return bool(self.component.parts.readings)

    @property
    def available(self) -> bool:
        """Whether it can be reached, by what it said."""
        return self.component.availability.holds(self.online)

    @property
    def state(self) -> State | None:
        """None while it has said nothing."""
        if not self.available:
            return State(UNAVAILABLE)
        if not self.values:
            return None
        said = {name: value for name, value in self.values.items() if value is not None}
        return State(str(said.pop(VALUE, "unknown")), said, self.assumed)


class House:
    """All that is known of the home. Nothing that is published makes it raise."""

    def __init__(self, prefix: str, ignored: frozenset[str] = frozenset()) -> None:
        """`ignored` are discovery topics that are left out: the assistant's own."""
        self._prefix, self._ignored = prefix, ignored
        self._known: dict[str, Known] = {}
        self._entities: tuple[Entity, ...] | None = ()  # None: to be made anew
        self._sources: dict[str, tuple[Component, ...]] = {}
        self._payloads: dict[str, int] = {}  # the hash of each discovery, to know one that comes again
        self._unique: dict[tuple[str, str], str] = {}  # by domain and unique id, the entity that has it
        self._readers: dict[str, dict[str, None]] = {}  # of each topic, the entities that read it

    @property
    def entities(self) -> tuple[Entity, ...]:
        """See Home. The same tuple until they change: it is asked for at every partial transcript."""
        if self._entities is None:
            self._entities = tuple(known.component.entity for known in self._known.values())
        return self._entities

    @property
    def topics(self) -> set[str]:
        """What to subscribe to beside discovery."""
        return set(self._readers)

    def get(self, entity_id: str) -> Known | None:
        """What is known of an entity; None if it is not, or not any more."""
        return self._known.get(entity_id)

    def declare(self, topic: str, payload: bytes) -> bool:
        """Take a discovery message; whether entities have changed by it."""
        if topic in self._ignored or self._payloads.get(topic) == hash(payload):
            return False
        discovery = read_discovery(self._prefix, topic, payload)
        if discovery is None:
            return False
        self._payloads.pop(topic, None)
        replaced = self._sources.pop(discovery.source, ())
        old = {each.entity.id: self._known[each.entity.id] for each in replaced}
        for entity_id in old:
            self._remove(entity_id)
        added = tuple(each for each in discovery.components if self._add(each, old.get(each.entity.id)))
        if added:
            self._sources[discovery.source], self._payloads[topic] = added, hash(payload)
        return [each.entity for each in replaced] != [each.entity for each in added]

    def report(self, topic: str, payload: bytes) -> list[str]:
        """Take a message on a device's topic; the ids of the entities that have read something in it."""
        if len(payload) > MOST_STATE_BYTES:
            return []
        try:
            text = payload.decode("utf-8")
        except UnicodeDecodeError:
            return []
        readers = self._readers.get(topic, ())
        return [entity_id for entity_id in readers if _read(self._known[entity_id], topic, text)]

    def assume(self, entity_id: str, state: State) -> State:
        """Keep `state` of an entity that reports none, and return it as an assumed one."""
        if known := self._known.get(entity_id):
            known.values, known.assumed = {**state.attributes, VALUE: state.value}, True
        return replace(state, assumed=True)

    def _add(self, component: Component, before: Known | None) -> bool:
        """Add an entity, unless it is there or there are too many; what it said `before` a change is kept."""
        key = (component.entity.domain, component.unique_id)
        if key in self._unique or component.entity.id in self._known or len(self._known) >= MOST_ENTITIES:
            return False
        if component.unique_id:
            self._unique[key] = component.entity.id
        known = Known(component)
        if before is not None and before.component.topics == component.topics:
            known.values, known.online, known.assumed = before.values, before.online, before.assumed
        self._known[component.entity.id], self._entities = known, None
        for topic in component.topics:
            self._readers.setdefault(topic, {})[component.entity.id] = None
        return True

    def _remove(self, entity_id: str) -> None:
        component, self._entities = self._known.pop(entity_id).component, None
        self._unique.pop((component.entity.domain, component.unique_id), None)
        for topic in component.topics:
            self._readers[topic].pop(entity_id)
            if not self._readers[topic]:
                del self._readers[topic]


def _read(known: Known, topic: str, text: str) -> bool:
    """Whether the state or the availability is told by a message; it is taken over."""
    told = known.component.availability.after(known.online, topic, text)
    found = told != known.online
    known.online = told
    for reading in known.component.parts.readings:
        if reading.topic != topic:
            continue
        try:
            changes: Mapping[str, Attribute] = reading.read(text)
        except Invalid:
            continue
        known.values.update(changes)
        known.assumed, found = False, True
    return found
