"""Units of measurement: what they are called, and how much of one another they are."""

from collections.abc import Sequence
from fractions import Fraction

from pint import UnitRegistry
from pint.errors import DimensionalityError

from assistant.skills.sums.numbers import tokens

# The plural, what it is of others, and what else it is called. The factors are exact by definition, but for
# horsepower (550 foot-pounds a second) and pressures in pounds (NIST SP 811, appendix B).
_EVERYWHERE = """
    meters = [length]: m
    kilometers = 1000 meters: km, kilometer, k
    centimeters = 0.01 meters: cm
    millimeters = 0.001 meters: mm
    micrometers = 0.000001 meters: microns, micron
    nanometers = 0.000000001 meters: nm
    inches = 0.0254 meters: inch, in, "
    feet = 12 inches: foot, ft, '
    yards = 3 feet: yd
    miles = 5280 feet: mi
    nautical_miles = 1852 meters:
    furlongs = 220 yards:
    fathoms = 6 feet:
    light_years = 9460730472580800 meters:
    astronomical_units = 149597870700 meters:
    grams = [mass]: g, gramme
    kilograms = 1000 grams: kg, kilo, kilos
    milligrams = 0.001 grams: mg
    micrograms = 0.000001 grams:
    tonnes = 1000000 grams: metric ton, metric tons
    pounds = 453.59237 grams: lb, lbs
    ounces = 0.0625 pounds: oz
    stone = 14 pounds: stones
    carats = 0.2 grams:
    troy_ounces = 31.1034768 grams:
    liters = 0.001 meters ** 3: l
    milliliters = 0.001 liters: ml, mil, mils
    centiliters = 0.01 liters: cl
    deciliters = 0.1 liters: dl
    us_gallons = 231 inches ** 3: american gallon, american gallons
    us_pints = 0.125 us_gallons: american pint, american pints
    imperial_gallons = 4.54609 liters: uk gallon, uk gallons, british gallon, british gallons
    imperial_pints = 0.125 imperial_gallons: uk pint, uk pints, british pint, british pints
    cubic_meters = meters ** 3: m3
    cubic_centimeters = centimeters ** 3: cc, ccs
    cubic_feet = feet ** 3: cubic foot
    cubic_inches = inches ** 3: cubic inch
    cubic_yards = yards ** 3:
    square_meters = meters ** 2: m2, sq m
    square_kilometers = kilometers ** 2: km2
    square_centimeters = centimeters ** 2:
    square_feet = feet ** 2: square foot, sq ft
    square_inches = inches ** 2: square inch
    square_yards = yards ** 2:
    square_miles = miles ** 2: sq mi
    acres = 43560 feet ** 2:
    hectares = 10000 meters ** 2:
    seconds = [time]: sec, secs
    milliseconds = 0.001 seconds:
    minutes = 60 seconds: min, mins
    hours = 60 minutes: hr, hrs
    days = 24 hours:
    weeks = 7 days:
    fortnights = 14 days:
    years = 365 days:
    months = years / 12:
    decades = 10 years:
    centuries = 100 years: century
    millennia = 1000 years: millennium, millenniums
    miles_per_hour = miles / hours: mph, miles an hour, mile per hour, mile an hour
    kilometers_per_hour = kilometers / hours: kph, kmh, km/h, kilometers an hour, kilometer per hour
    meters_per_second = meters / seconds: m/s, meters a second, meter per second
    feet_per_second = feet / seconds: feet a second, foot per second
    knots = nautical_miles / hours:
    bits = [information]:
    bytes = 8 bits:
    kilobits = 1000 bits:
    megabits = 1000 kilobits:
    gigabits = 1000 megabits:
    kilobytes = 1000 bytes: kb
    megabytes = 1000 kilobytes: mb, meg, megs
    gigabytes = 1000 megabytes: gb, gig, gigs
    terabytes = 1000 gigabytes: tb
    petabytes = 1000 terabytes: pb
    kibibytes = 1024 bytes:
    mebibytes = 1024 kibibytes:
    gibibytes = 1024 mebibytes:
    pascals = [pressure]: pa
    hectopascals = 100 pascals: hpa
    kilopascals = 1000 pascals: kpa
    bars = 100000 pascals: bar
    millibars = 0.001 bars: mbar
    atmospheres = 101325 pascals: atm
    psi = 6894.757293168 pascals: pounds per square inch, psis
    millimeters_of_mercury = 133.322387415 pascals: mmhg
    inches_of_mercury = 3386.389 pascals: inhg
    joules = [energy]:
    kilojoules = 1000 joules: kj
    calories = 4184 joules: kilocalorie, kilocalories, kcal, cal
    watt_hours = 3600 joules:
    kilowatt_hours = 1000 watt_hours: kwh
    watts = [power]:
    kilowatts = 1000 watts: kw
    megawatts = 1000 kilowatts:
    horsepower = 745.69987158227022 watts: hp, horsepowers
    radians = [angle]:
    angle_degrees = 0.01745329251994329577 radians: degree, degrees
    kelvins = [temperature]: kelvin, k, degrees kelvin
    degrees_Fahrenheit = 5 / 9 * kelvins; offset: 233.15 + 200 / 9: fahrenheit, farenheit, f, degree, degrees
    degrees_Celsius = kelvins; offset: 273.15: celsius, centigrade, degrees centigrade, c, degrees c, degrees
"""
_CUSTOMARY = """
    gallons = 231 inches ** 3: gal
    quarts = 0.25 gallons: qt
    pints = 0.5 quarts: pt
    cups = 0.5 pints:
    fluid_ounces = 0.125 cups: fl oz, ounce, ounces, oz
    tablespoons = 0.5 fluid_ounces: tbsp
    teaspoons = tablespoons / 3: tsp
    sticks = 8 tablespoons:
    tons = 2000 pounds: short ton, short tons
"""
_IMPERIAL = """
    gallons = 4.54609 liters: gal
    quarts = 0.25 gallons: qt
    pints = 0.5 quarts: pt
    fluid_ounces = 0.05 pints: fl oz, ounce, ounces, oz
    cups = 0.25 liters:
    tablespoons = 0.015 liters: tbsp
    teaspoons = 0.005 liters: tsp
    tons = 2240 pounds: long ton, long tons
"""
_SINGULAR = {"feet": "foot", "inches": "inch", "centuries": "century", "millennia": "millennium"}
_INVARIABLE = ("stone", "psi", "horsepower")


class Measures:
    """The units of a country, by all the names that they have."""

    def __init__(self, country: str) -> None:
        self._registry: UnitRegistry[Fraction] = UnitRegistry(None, non_int_type=Fraction)
        self._units: dict[tuple[str, ...], list[str]] = {}
        for line in (_EVERYWHERE + (_IMPERIAL if country == "GB" else _CUSTOMARY)).strip().splitlines():
            definition, _, others = line.strip().rpartition(":")
            unit = definition.partition(" = ")[0]
            self._registry.define(definition)
            for name in {*_names(unit), *filter(None, (other.strip() for other in others.split(",")))}:
                self._units.setdefault(tuple(tokens(name)), []).append(unit)
        self._longest = max(map(len, self._units))

    def unit_at(self, words: Sequence[str], at: int) -> tuple[Sequence[str], int] | None:
        """What the longest name that begins at `at` may mean, and the index behind it."""
        for end in range(min(at + self._longest, len(words)), at, -1):
            if units := self._units.get(tuple(words[at:end])):
                return units, end
        return None

    def converted(self, value: Fraction, unit: str, to: str) -> Fraction | None:
        """`value` in another unit, exactly; None if that measures something else."""
        try:
            return Fraction(self._registry.Quantity(value, unit).to(to).magnitude)
        except DimensionalityError:
            return None


def name(unit: str, value: Fraction) -> str:
    """What so many of a unit are called: "1 foot", "5 feet"."""
    return _names(unit)[value == 1]


def _names(unit: str) -> list[str]:
    """The plural and the singular, then both as they are spelled in Britain."""
    plural = unit.replace("_", " ").replace("angle ", "").replace("us ", "US ")
    first, space, rest = plural.partition(" ")
    if space and (rest.startswith(("per ", "of ")) or first == "degrees"):
        singular = f"{_one(first)} {rest}"
    else:
        head, space, last = plural.rpartition(" ")
        singular = f"{head}{space}{_one(last)}"
    spelled = [text.replace("meter", "metre").replace("liter", "litre") for text in (plural, singular)]
    return [plural, singular, *spelled]


def _one(word: str) -> str:
    return _SINGULAR.get(word) or (word if word in _INVARIABLE else word.removesuffix("s"))
