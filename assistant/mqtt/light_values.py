"""Brightness, colours and colour temperatures as lights write them."""

from dataclasses import dataclass

from assistant.home.colors import COLORS, WHITES_K, Rgb, nearest
from assistant.home.entities import CommandUnsupported, TurnOn
from assistant.mqtt.fields import Fields, Invalid, read_number
from assistant.mqtt.parts import Changes


@dataclass(frozen=True)
class Brightness:
    """A light's own scale, of which 0 is off."""

    scale: float

    def write(self, percent: float) -> int:
        """The light's value; the least that is not off for anything above 0, and for 0, too."""
        return max(round(self.scale * percent / 100), 1)

    def read(self, value: object) -> Changes:
        """What a light's value says. Raises Invalid."""
        percent = round(100 * read_number(value) / self.scale)
        return {"brightness_pct": min(max(percent, 0), 100)}


def brightness(fields: Fields) -> Brightness:
    """By `brightness_scale`. Raises Invalid."""
    scale = fields.number("brightness_scale", 255)
    if not 1 <= scale <= 1e6:
        raise Invalid("brightness_scale is none")
    return Brightness(scale)


@dataclass(frozen=True)
class Temperature:
    """Colour temperatures of a light, in mireds (a million by kelvin) or in kelvin, within its range."""

    in_kelvin: bool
    least: float
    most: float

    def write(self, kelvin: float) -> int:
        """The light's value."""
        value = kelvin if self.in_kelvin else 1e6 / kelvin
        return round(min(max(value, self.least), self.most))

    def read(self, value: object) -> Changes:
        """What a light's value says; the colour is over. Raises Invalid."""
        number = read_number(value)
        if not 1 <= number <= 1e6:
            raise Invalid("no colour temperature")
        return {"color_temp_k": round(number if self.in_kelvin else 1e6 / number), "color": None}


def temperature(fields: Fields) -> Temperature:
    """By `color_temp_kelvin` and the ends of the range. Raises Invalid."""
    in_kelvin = fields.flag("color_temp_kelvin")
    unit, lowest, highest = ("kelvin", 2000, 6535) if in_kelvin else ("mireds", 153, 500)
    least, most = fields.number(f"min_{unit}", lowest), fields.number(f"max_{unit}", highest)
    if not 1 <= least <= most:
        raise Invalid(f"a range of {unit} that is none")
    return Temperature(in_kelvin, least, most)


def color(rgb: Rgb) -> Changes:
    """What a colour that was read says; the colour temperature is over."""
    red, green, blue = (min(max(part, 0), 255) for part in rgb)
    return {"color": nearest((red, green, blue)), "color_temp_k": None}


def numbers(payload: str, count: int) -> tuple[float, ...]:
    """So many numbers with commas between them. Raises Invalid."""
    values = tuple(read_number(part) for part in payload.split(",", count))
    if len(values) != count:
        raise Invalid(f"not {count} numbers")
    return values


def wanted(command: TurnOn, *, has_temperature: bool) -> tuple[Rgb | None, float | None]:
    """The colour or the colour temperature (K) that is asked for; a white is the latter where it can be.

    Raises CommandUnsupported for a colour without a value.
    """
    name, kelvin = command.color, command.color_temp_k
    if kelvin is not None and kelvin < 1:
        raise CommandUnsupported("there is no such colour temperature")
    if name is None or kelvin is not None:
        return None, kelvin
    if name not in COLORS:
        raise CommandUnsupported("it has no such colour")
    return (None, WHITES_K[name]) if has_temperature and name in WHITES_K else (COLORS[name], None)
