"""What a cup of an ingredient weighs."""

from fractions import Fraction

# Grams a cup of the United States (236.588 ml), from King Arthur Baking's ingredient weight chart;
# water by its density at 4 degrees Celsius, salt as table salt.
_DRY = """
    flour: 120; all purpose flour: 120; bread flour: 120; plain flour: 120; whole wheat flour: 113
    almond flour: 96; cornstarch: 112; cornmeal: 156; sugar: 198; white sugar: 198; granulated sugar: 198
    brown sugar: 213; powdered sugar: 113; icing sugar: 113; confectioners sugar: 113; salt: 288
    table salt: 288; rice: 198; white rice: 198; oats: 89; rolled oats: 89; cocoa: 84; cocoa powder: 84
    butter: 226; peanut butter: 270; chocolate chips: 170; raisins: 149; baking powder: 192
    baking soda: 288; cream cheese: 227
"""
_LIQUID = """
    water: 236.588; milk: 227; cream: 227; heavy cream: 227; buttermilk: 227; yogurt: 227; sour cream: 227
    honey: 336; maple syrup: 312; molasses: 340; oil: 198; vegetable oil: 198; olive oil: 200
"""
_CUP = Fraction("236.5882365")  # milliliters


def _table(text: str) -> dict[str, Fraction]:
    rows = (row.split(":") for line in text.strip().splitlines() for row in line.split(";"))
    return {name.strip(): Fraction(grams.strip()) / _CUP for name, grams in rows}


LIQUIDS = frozenset(_table(_LIQUID))
DENSITIES = _table(_DRY) | _table(_LIQUID)
"""Grams a milliliter."""
