"""Entities, their states and commands, in Home Assistant's words; `Home` is what carries commands out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Domain = Literal[
    "binary_sensor",
    "button",
    "climate",
    "cover",
    "fan",
    "light",
    "lock",
    "media_player",
    "scene",
    "sensor",
    "switch",
    "vacuum",
]
Attribute = str | int | float | None

UNAVAILABLE = "unavailable"
"""The value of the state of an entity that cannot be reached."""


@dataclass(frozen=True)
class Entity:
    """One thing in the home that can be asked for by `name`; `area` is "" where none is known."""

    id: str
    name: str
    domain: Domain
    area: str = ""


@dataclass(frozen=True)
class State:
    """What an entity reported last.

    `value` is Home Assistant's: "on", "off", "open", "locked", a climate's mode, a sensor's value. Attributes
    there may be: `brightness_pct`, `color` (a name of `colors`), `color_temp_k`, `temperature` (the target),
    `current_temperature`, `position` (%, 100 is open), `percentage` (of a fan's speed), `volume` (%), `unit`,
    `device_class`.
    """

    value: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    assumed: bool = False
    """Nothing was read back, and nothing will be: the entity does not report this."""


def _check_percent(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 100:
        raise ValueError(f"{name} must be 0 to 100, not {value:g}")


@dataclass(frozen=True)
class TurnOn:
    """Turn on, and set what is given; `color` is a name of `colors`, a white among them."""

    brightness_pct: float | None = None
    color: str | None = None
    color_temp_k: int | None = None

    def __post_init__(self) -> None:
        _check_percent("brightness_pct", self.brightness_pct)


@dataclass(frozen=True)
class TurnOff:
    """Turn off."""


@dataclass(frozen=True)
class SetTemperature:
    """Set the target temperature, in the entity's own unit."""

    temperature: float


@dataclass(frozen=True)
class SetSpeed:
    """Set a fan's speed, in percent; 0 is off."""

    percentage: float

    def __post_init__(self) -> None:
        _check_percent("percentage", self.percentage)


@dataclass(frozen=True)
class SetVolume:
    """Set the volume, in percent."""

    volume: float

    def __post_init__(self) -> None:
        _check_percent("volume", self.volume)


@dataclass(frozen=True)
class SetPosition:
    """Move a cover to this position, in percent; 100 is open."""

    position: float

    def __post_init__(self) -> None:
        _check_percent("position", self.position)


@dataclass(frozen=True)
class Open:
    """Open a cover."""


@dataclass(frozen=True)
class Close:
    """Close a cover."""


@dataclass(frozen=True)
class Stop:
    """Stop a cover or a vacuum where it is."""


@dataclass(frozen=True)
class Lock:
    """Lock."""


@dataclass(frozen=True)
class Unlock:
    """Unlock."""


@dataclass(frozen=True)
class Start:
    """Let a vacuum begin."""


@dataclass(frozen=True)
class ReturnToBase:
    """Send a vacuum home."""


@dataclass(frozen=True)
class Activate:
    """Activate a scene, or press a button."""


Command = (
    TurnOn
    | TurnOff
    | SetTemperature
    | SetSpeed
    | SetVolume
    | SetPosition
    | Open
    | Close
    | Stop
    | Lock
    | Unlock
    | Start
    | ReturnToBase
    | Activate
)


class HomeError(Exception):
    """A command that was not carried out; the message says why, without the entity's name."""


class HomeUnavailable(HomeError):  # noqa: N818  # a condition with a name of its own
    """The broker is down, or the entity cannot be reached."""

    def __init__(self, why: str, *, in_doubt: bool = False) -> None:
        """`in_doubt`: the command was sent before that, and may have been carried out."""
        super().__init__(why)
        self.in_doubt = in_doubt


class CommandUnsupported(HomeError):  # noqa: N818  # as above
    """The entity cannot do this: a colour for a plug, a temperature beyond a thermostat's range."""


class Home(Protocol):
    """The entities of one home."""

    changed: Callable[[], None]
    """Called on the event loop when `entities` has changed; set it to hear of that."""

    @property
    def entities(self) -> tuple[Entity, ...]:
        """All entities, in the order in which they became known."""
        ...

    def state(self, entity_id: str) -> State | None:
        """What the entity reported last; None if it is unknown."""
        ...

    async def command(self, entity_id: str, command: Command) -> State | None:
        """Carry `command` out, and return the state that the entity reports then, within about a second.

        None if it reports none in that time. That state may be another than the command asked for: a light
        that stays off says so. Raises HomeUnavailable and CommandUnsupported. Cancelling it takes nothing
        back that was sent.
        """
        ...
