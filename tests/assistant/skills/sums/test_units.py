"""Conversions as people ask for them, against factors from NIST SP 811 (2008) and Handbook 44, by hand."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from said import answers, said, services

from assistant.skills.sums.cooking import DENSITIES
from assistant.skills.sums.measures import Measures
from assistant.skills.sums.units import Units

AMERICAN, BRITISH = Measures("US"), Measures("GB")
UNITS = Units(services())
FACTORS = """
    inches centimeters 2.54; feet meters 0.3048; yards meters 0.9144; miles kilometers 1.609344
    nautical_miles meters 1852; fathoms feet 6; furlongs feet 660; pounds grams 453.59237
    ounces grams 28.349523125; tons pounds 2000; stone pounds 14; tonnes kilograms 1000; carats milligrams 200
    gallons liters 3.785411784; quarts liters 0.946352946; pints milliliters 473.176473
    cups milliliters 236.5882365; fluid_ounces milliliters 29.5735295625
    tablespoons milliliters 14.78676478125; teaspoons milliliters 4.92892159375; gallons cubic_inches 231
    imperial_gallons liters 4.54609; cubic_feet liters 28.316846592; acres square_feet 43560
    square_miles acres 640; acres square_meters 4046.8564224; hectares square_meters 10000
    square_inches square_centimeters 6.4516; square_yards square_feet 9
    miles_per_hour meters_per_second 0.44704; miles_per_hour kilometers_per_hour 1.609344
    knots kilometers_per_hour 1.852
    days minutes 1440; weeks hours 168; years days 365; years months 12; centuries decades 10
    gigabytes megabytes 1000; gibibytes bytes 1073741824; bytes bits 8; atmospheres pascals 101325
    bars kilopascals 100; calories kilojoules 4.184; kilowatt_hours joules 3600000; kilowatts watts 1000
"""
CONVERSIONS = {
    "convert ten miles to kilometers": "10 miles is about 16.1 kilometers.",
    "convert 10 miles 2 kilometers": "10 miles is about 16.1 kilometers.",
    "how many mils in a cup": "1 cup is about 236.6 milliliters.",
    "how many ounces are in a pound": "1 pound is 16 ounces.",
    "What is 350 Fahrenheit in Celsius?": "350 degrees Fahrenheit is about 176.7 degrees Celsius.",
    "What's 350°F in Celsius?": "350 degrees Fahrenheit is about 176.7 degrees Celsius.",
    "minus 40 celsius in fahrenheit": "Minus 40 degrees Celsius is minus 40 degrees Fahrenheit.",
    "how hot is 100 degrees celsius in fahrenheit": "100 degrees Celsius is 212 degrees Fahrenheit.",
    "70 degrees in Celsius": "70 degrees Fahrenheit is about 21.1 degrees Celsius.",
    "20 degrees in Fahrenheit": "20 degrees Celsius is 68 degrees Fahrenheit.",
    "convert 98.6 to Celsius": "98.6 degrees Fahrenheit is 37 degrees Celsius.",
    "0 kelvin in celsius": "0 kelvins is minus 273.15 degrees Celsius.",
    "180 degrees in radians": "180 degrees is about 3.14 radians.",
    "how many teaspoons in a tablespoon": "1 tablespoon is 3 teaspoons.",
    "how many miles is a 10K": "10 kilometers is about 6.21 miles.",
    "how many feet are there in a mile": "1 mile is 5,280 feet.",
    "5 foot 10 in centimeters": "5 feet 10 inches is 177.8 centimeters.",
    "what's 5'10\" in cm": "5 feet 10 inches is 177.8 centimeters.",
    "how tall is 180 cm in feet": "180 centimeters is about 5.91 feet, or 5 feet 11 inches.",
    "9 stone 4 in kilograms": "9 stone 4 pounds is about 59 kilograms.",
    "how many minutes in 2 hours and 15 minutes": "2 hours 15 minutes is 135 minutes.",
    "an hour and a half in minutes": "1.5 hours is 90 minutes.",
    "half a mile in meters": "0.5 miles is about 804.7 meters.",
    "two and a half hours in minutes": "2.5 hours is 150 minutes.",
    "1/3 cup in tablespoons": "1/3 cup is about 5.33 tablespoons.",
    "how many cups in a gallon": "1 gallon is 16 cups.",
    "how many liters is a gallon": "1 gallon is about 3.79 liters.",
    "how many minutes in a day": "1 day is 1,440 minutes.",
    "how many seconds are in a week": "1 week is 604,800 seconds.",
    "how many days in a year": "1 year is 365 days.",
    "how many ounces in a cup": "1 cup is 8 fluid ounces.",
    "how many megabytes in a gigabyte": "1 gigabyte is 1,000 megabytes.",
    "60 mph in km/h": "60 miles per hour is about 96.6 kilometers per hour.",
    "32 psi in bar": "32 psi is about 2.21 bars.",
    "how many square feet in an acre": "1 acre is 43,560 square feet.",
    "how many litres in a US gallon": "1 US gallon is about 3.79 liters.",
    "how many kilometers in a light year": "1 light year is about 9.46 trillion kilometers.",
    "a mile is how many feet": "1 mile is 5,280 feet.",
    "how many inches does it take to make a foot": "1 foot is 12 inches.",
    "how many grams in a cup of flour": "1 cup of flour is about 120 grams.",
    "how much does a cup of sugar weigh": "1 cup of sugar is about 198 grams.",
    "how many ounces in a cup of flour": "1 cup of flour is about 4.2 ounces.",
    "how many ounces in a cup of milk": "1 cup of milk is 8 fluid ounces.",
    "how many cups of flour is 500 grams": "500 grams of flour is about 4.2 cups.",
    "how many tablespoons in a stick of butter": "1 stick of butter is 8 tablespoons.",
}
IN_BRITAIN = {
    "how many ounces in a pint": "1 pint is 20 fluid ounces.",
    "how many litres in a gallon": "1 gallon is about 4.55 liters.",
    "how many pounds in a ton": "1 ton is 2,240 pounds.",
    "how many millilitres in a teaspoon": "1 teaspoon is 5 milliliters.",
}
FOLLOW_UPS = (
    (("convert ten miles to kilometers", "and in feet?"), "10 miles is 52,800 feet."),
    (("convert ten miles to kilometers", "what about 30?"), "30 miles is about 48.3 kilometers."),
    (("convert ten miles to kilometers", "what is that in yards"), "10 miles is 17,600 yards."),
    (("convert ten miles to kilometers", "how about a yard"), "1 yard is about 0.000914 kilometers."),
    (("convert ten miles to kilometers", "what about feet"), "10 miles is 52,800 feet."),
    (("5 foot 10 in centimeters", "and in meters"), "70 inches is about 1.78 meters."),
    (("how many grams in a cup of flour", "what about sugar"), "1 cup of sugar is about 198 grams."),
    (("how many grams in a cup of flour", "and two cups"), "2 cups of flour is about 240 grams."),
    (("convert ten miles to kilometers", "what about pounds"), None),
    (("convert ten miles to kilometers", "and in London"), None),
    (("and in feet?",), None),
    (("what about 30",), None),
    (("what's that in feet",), None),
)
NEAR_MISSES = """
    how many legs does a spider have; how many days in February; what is 5 in Spanish; what's up
    how many people in a mile; what is a pound in dollars; convert 50 pounds to dollars; 20 dollars in euros
    what's a foot in shoe size; how many days in a decade; how many grams in a liter; how many feet in a pound
    how many sticks in a cup; how about a cup of milk; a cup of tea; in feet; how many miles to Boston
    what's the temperature in Celsius; turn 90 degrees to the left; how far is it in miles
    how much does an elephant weigh; how much does it weigh; how many hours until midnight; in a minute
    five minutes in the oven; how many inches; set a timer for 5 minutes; how many cups; convert
    a mile in my shoes; what is it in; how many minutes are left in the game; ten miles to go
    two feet to the left; inch by inch
"""


@pytest.mark.parametrize("line", [part.strip() for part in FACTORS.strip().replace("\n", ";").split(";")])
def test_factors_are_those_that_are_published(line: str) -> None:
    unit, to, factor = line.split()
    assert AMERICAN.converted(Fraction(1), unit, to) == Fraction(factor)
    assert AMERICAN.converted(Fraction(factor), to, unit) == 1


@pytest.mark.parametrize(
    ("unit", "to", "factor"),
    [
        ("gallons", "liters", "4.54609"),
        ("pints", "milliliters", "568.26125"),
        ("fluid_ounces", "milliliters", "28.4130625"),
        ("tons", "pounds", "2240"),
    ],
)
def test_british_factors_are_those_that_are_published(unit: str, to: str, factor: str) -> None:
    assert BRITISH.converted(Fraction(1), unit, to) == Fraction(factor)


@given(st.fractions(-1000, 1000))
def test_temperatures_are_converted_as_they_are_defined(value: Fraction) -> None:
    assert AMERICAN.converted(value, "degrees_Fahrenheit", "degrees_Celsius") == (value - 32) * 5 / 9
    assert AMERICAN.converted(value, "degrees_Celsius", "kelvins") == value + Fraction("273.15")


@pytest.mark.parametrize(
    ("unit", "to", "factor"),
    [
        ("psi", "pascals", 6894.757),
        ("horsepower", "watts", 745.6999),
        ("inches_of_mercury", "pascals", 3386.389),
    ],
)
def test_rounded_factors_are_those_that_are_published(unit: str, to: str, factor: float) -> None:
    converted = AMERICAN.converted(Fraction(1), unit, to)
    assert converted is not None and float(converted) == pytest.approx(factor, rel=2e-7)


@pytest.mark.parametrize(("sentence", "text"), CONVERSIONS.items())
def test_a_measure_is_converted(sentence: str, text: str) -> None:
    assert said(UNITS, sentence) == text


@pytest.mark.parametrize(("sentence", "text"), IN_BRITAIN.items())
def test_britain_has_units_of_its_own(sentence: str, text: str) -> None:
    assert said(Units(services(country="GB")), sentence) == text


@pytest.mark.parametrize(("sentences", "text"), FOLLOW_UPS)
def test_a_conversion_goes_on_from_the_last(sentences: tuple[str, ...], text: str | None) -> None:
    assert said(UNITS, *sentences) == text


@pytest.mark.parametrize("sentence", [part.strip() for part in NEAR_MISSES.replace("\n", ";").split(";")])
def test_what_is_no_conversion_is_declined(sentence: str) -> None:
    assert said(UNITS, sentence) is None


def test_the_slots_say_what_was_converted() -> None:
    (answer,) = answers(UNITS, "how many grams in a cup of flour")
    assert answer is not None and answer.intent is not None
    assert dict(answer.intent.slots) == {"value": 1, "from": "cups", "to": "grams", "of": "flour"}


@pytest.mark.parametrize("ingredient", sorted(DENSITIES))
def test_what_people_cook_with_weighs_something_between_cocoa_and_syrup(ingredient: str) -> None:
    assert Fraction(1, 3) < DENSITIES[ingredient] < Fraction(3, 2)
