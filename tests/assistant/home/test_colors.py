"""Colours in the forms in which lights speak of them."""

import pytest

from assistant.home.colors import COLORS, from_hs, from_xy, nearest, to_hs, to_xy


@pytest.mark.parametrize("name", COLORS)
def test_every_name_survives_the_way_to_a_light_and_back(name: str) -> None:
    rgb = COLORS[name]
    assert nearest(rgb) == name
    assert nearest(from_hs(*to_hs(rgb))) == name
    assert nearest(from_xy(*to_xy(rgb))) == name


def test_a_dark_colour_is_still_that_colour() -> None:
    assert nearest((20, 0, 0)) == "red"
    assert nearest((0, 0, 0)) == "white"


def test_xy_is_as_published() -> None:
    """Corners of the wide gamut, by the rows of the matrix: x = X / (X + Y + Z)."""
    assert to_xy((255, 0, 0)) == pytest.approx((0.7006, 0.2993), abs=1e-4)
    assert to_xy((0, 0, 255)) == pytest.approx((0.1355, 0.0399), abs=1e-4)
    assert from_xy(0.1, 0.0) == (255, 255, 255)


def test_hs_is_degrees_and_percent() -> None:
    assert to_hs((0, 0, 255)) == (240, 100)
    assert to_hs((255, 255, 255)) == (0, 0)
    assert from_hs(360 + 120, 150) == (0, 255, 0)
