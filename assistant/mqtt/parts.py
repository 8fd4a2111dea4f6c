"""What a discovered component is made of: topics that report something, and topics that take commands."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from assistant.home.entities import Attribute, Command, CommandUnsupported, State
from assistant.mqtt.fields import Fields, Invalid, read_json
from assistant.mqtt.templates import compile_template

VALUE = "value"
"""The key of a state's value among what a reading gives; the others are attributes."""

Changes = Mapping[str, Attribute]


@dataclass(frozen=True)
class Publication:
    """A message to publish, with QoS 1."""

    topic: str
    payload: str
    retain: bool = False


@dataclass(frozen=True)
class Reading:
    """A topic, and what a payload on it says of the state; `read` raises Invalid if that is nothing."""

    topic: str
    read: Callable[[str], Changes]


Publish = Callable[[Command, State | None], tuple[Publication, ...]]
"""The messages that carry out a command in a state. Raises CommandUnsupported."""


@dataclass(frozen=True)
class Parts:
    """What a component's configuration comes to."""

    readings: tuple[Reading, ...]
    publish: Publish


class Send(Protocol):
    """Makes the message of a payload; other values are for the template."""

    def __call__(self, payload: str | float, **values: str | float) -> Publication:
        """Raises CommandUnsupported where the template makes nothing of the values."""
        ...


def reading(
    fields: Fields, topic_key: str, template_key: str, read: Callable[[str], Changes]
) -> tuple[Reading, ...]:
    """The topic at `topic_key`, read by `read` behind the template; none if it is not there.

    A template that is refused leaves the topic unread: the entity can be commanded all the same.
    """
    if not (topic := fields.topic(topic_key)):
        return ()
    try:
        rendered = value_template(fields.text(template_key))
    except Invalid:
        return ()
    return (Reading(topic, lambda payload: read(rendered(payload))),)


def value_template(source: str) -> Callable[[str], str]:
    """What a template makes of a payload; without one, the payload. Raises Invalid."""
    if not source:
        return lambda payload: payload
    render = compile_template(source)

    def rendered(payload: str) -> str:
        values: dict[str, Any] = {"value": payload}
        with suppress(Invalid):  # as in Home Assistant: templates of `value` alone work with any text
            values["value_json"] = read_json(payload)
        return render(**values)

    return rendered


def sender(fields: Fields, topic_key: str, template_key: str = "") -> Send | None:
    """What makes messages for the topic at `topic_key`; None without one, or if its template is refused."""
    if not (topic := fields.topic(topic_key)):
        return None
    source = fields.text(template_key) if template_key else ""
    if not source:
        return lambda payload, **_: Publication(topic, plain(payload))
    try:
        render = compile_template(source)
    except Invalid:
        return None

    def send(payload: str | float, **values: str | float) -> Publication:
        try:
            return Publication(topic, render(value=payload, **values))
        except Invalid as error:
            raise CommandUnsupported(f"its template makes nothing of this: {error}") from None

    return send


def needed(send: Send | None, what: str) -> Send:
    """`send`, or CommandUnsupported: the device has no topic for this."""
    if send is None:
        raise CommandUnsupported(f"it has no {what}")
    return send


def plain(value: str | float) -> str:
    """A number without needless digits, as devices expect it; a text as it is."""
    return value if isinstance(value, str) else f"{value:.10g}"


def choice(values: Mapping[str, str]) -> Callable[[str], Changes]:
    """Reads a payload that stands for one of a few values."""

    def read(payload: str) -> Changes:
        if payload not in values:
            raise Invalid("an unknown state")
        return {VALUE: values[payload]}

    return read
