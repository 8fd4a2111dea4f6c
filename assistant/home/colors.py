"""Colours by their English names, and the forms in which lights speak of them."""

import colorsys
from collections.abc import Mapping

Rgb = tuple[int, int, int]

COLORS: Mapping[str, Rgb] = {
    "red": (255, 0, 0),
    "orange": (255, 140, 0),
    "amber": (255, 191, 0),
    "yellow": (255, 255, 0),
    "lime": (160, 255, 0),
    "green": (0, 255, 0),
    "turquoise": (0, 255, 170),
    "cyan": (0, 255, 255),
    "blue": (0, 0, 255),
    "violet": (128, 0, 255),
    "purple": (180, 0, 255),
    "magenta": (255, 0, 255),
    "pink": (255, 0, 128),
    "white": (255, 255, 255),
    "warm white": (255, 197, 143),
    "cold white": (201, 226, 255),
}
"""Of full saturation but for the whites: a light shows what a screen's colour names mean only then."""

WHITES_K: Mapping[str, int] = {"warm white": 2700, "white": 4000, "cold white": 6500}
"""Colour temperatures, for lights that have them."""


def nearest(rgb: Rgb) -> str:
    """The name of the colour that is nearest to `rgb` at full brightness."""
    most = max(rgb)
    if most <= 0:
        return "white"
    full = [255 * part / most for part in rgb]
    return min(COLORS, key=lambda name: sum((a - b) ** 2 for a, b in zip(full, COLORS[name], strict=True)))


def to_hs(rgb: Rgb) -> tuple[float, float]:
    """Hue in degrees, saturation in percent."""
    hue, saturation, _ = colorsys.rgb_to_hsv(*(part / 255 for part in rgb))
    return round(hue * 360, 2), round(saturation * 100, 2)


def from_hs(hue: float, saturation: float) -> Rgb:
    """The colour at full brightness."""
    red, green, blue = colorsys.hsv_to_rgb(hue % 360 / 360, min(max(saturation, 0.0), 100.0) / 100, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def to_xy(rgb: Rgb) -> tuple[float, float]:
    """CIE 1931 x and y, by the wide-gamut matrix that Philips published for its Hue lights."""
    red, green, blue = (_linear(part / 255) for part in rgb)
    x = red * 0.664511 + green * 0.154324 + blue * 0.162028
    y = red * 0.283881 + green * 0.668433 + blue * 0.047685
    z = red * 0.000088 + green * 0.072310 + blue * 0.986039
    total = x + y + z
    return (round(x / total, 4), round(y / total, 4)) if total else (0.3127, 0.329)


def from_xy(x: float, y: float) -> Rgb:
    """The colour at full brightness; what is outside of the gamut is brought to its edge."""
    if not (0 <= x <= 1 and 0.01 <= y <= 1):
        return COLORS["white"]
    wide, deep = x / y, (1 - x - y) / y
    linear = (
        wide * 1.656492 - 0.354851 - deep * 0.255038,
        -wide * 0.707196 + 1.655397 + deep * 0.036152,
        wide * 0.051713 - 0.121364 + deep * 1.011530,
    )
    most = max(*linear, 1e-6)
    red, green, blue = (round(255 * _gamma(max(0.0, part) / most)) for part in linear)
    return red, green, blue


def _linear(part: float) -> float:
    return ((part + 0.055) / 1.055) ** 2.4 if part > 0.04045 else part / 12.92


def _gamma(part: float) -> float:
    return 1.055 * part ** (1 / 2.4) - 0.055 if part > 0.0031308 else 12.92 * part
