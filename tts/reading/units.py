"""The tables of quantities: units, currencies and magnitudes."""

from functools import cache

from tts.reading.numbers import plural
from tts.reading.tables import table

# Singular; the plural has an "s" unless it is given.
UNITS = table(
    """km: kilometer; m: meter; cm: centimeter; mm: millimeter; µm: micrometer; nm: nanometer; dm: decimeter
    mi: mile; yd: yard; yds: yard; ft: foot, feet; kg: kilogram; g: gram; mg: milligram; µg: microgram
    mcg: microgram; t: ton; lb: pound; lbs: pound; oz: ounce; fl oz: fluid ounce; tbsp: tablespoon
    Tbsp: tablespoon; tbs: tablespoon; tsp: teaspoon; gal: gallon; qt: quart; pt: pint; L: liter; l: liter
    ml: milliliter; mL: milliliter; cl: centiliter; dl: deciliter; dL: deciliter
    kph: kilometer per hour, kilometers per hour; kmh: kilometer per hour, kilometers per hour
    mph: mile per hour, miles per hour; mpg: mile per gallon, miles per gallon
    rpm: revolution per minute, revolutions per minute; bpm: beat per minute, beats per minute
    fps: frame per second, frames per second; Hz: hertz, hertz; kHz: kilohertz, kilohertz
    MHz: megahertz, megahertz; GHz: gigahertz, gigahertz; B: byte; KB: kilobyte; kB: kilobyte
    MB: megabyte; GB: gigabyte; TB: terabyte; PB: petabyte; Kb: kilobit; Mb: megabit; Gb: gigabit
    kbit: kilobit; Mbit: megabit; Gbit: gigabit; MiB: mebibyte; GiB: gibibyte
    kbps: kilobit per second, kilobits per second; Kbps: kilobit per second, kilobits per second
    Mbps: megabit per second, megabits per second; Gbps: gigabit per second, gigabits per second; h: hour
    hr: hour; hrs: hour; min: minute; mins: minute; s: second; sec: second; secs: second; ms: millisecond
    µs: microsecond; ns: nanosecond; wk: week; wks: week; mo: month; mos: month; yr: year; yrs: year
    V: volt; mV: millivolt; kV: kilovolt; W: watt; mW: milliwatt; kW: kilowatt; MW: megawatt; GW: gigawatt
    Wh: watt hour; kWh: kilowatt hour; MWh: megawatt hour; mA: milliamp; mAh: milliamp hour; Ah: amp hour
    Ω: ohm; kΩ: kilohm; J: joule; kJ: kilojoule; cal: calorie; kcal: kilocalorie; Nm: newton meter
    Pa: pascal; kPa: kilopascal; hPa: hectopascal; MPa: megapascal
    psi: pound per square inch, pounds per square inch; mbar: millibar; atm: atmosphere; ha: hectare
    mol: mole; ppm: part per million, parts per million; dB: decibel; px: pixel
    dpi: dot per inch, dots per inch; hp: horsepower, horsepower; sq ft: square foot, square feet
    sq mi: square mile; sq km: square kilometer; sq m: square meter; sq in: square inch, square inches
    cu ft: cubic foot, cubic feet; cc: cubic centimeter; m^2: square meter; km^2: square kilometer
    cm^2: square centimeter; mm^2: square millimeter; ft^2: square foot, square feet
    in^2: square inch, square inches; m^3: cubic meter; cm^3: cubic centimeter; mm^3: cubic millimeter
    km^3: cubic kilometer; ft^3: cubic foot, cubic feet
    mmHg: millimeter of mercury, millimeters of mercury; mi^2: square mile
    °C: degree Celsius, degrees Celsius; °F: degree Fahrenheit, degrees Fahrenheit; °K: kelvin; °: degree
    K: kelvin; pct: percent, percent; %: percent, percent; ‰: per mille, per mille; ly: light year
    kn: knot; kt: knot"""
)

# What may stand behind a unit, price or count and a stroke.
PER = table(
    """s: second; sec: second; min: minute; h: hour; hr: hour; d: day; wk: week; mo: month; yr: year
    kg: kilogram; g: gram; mg: milligram; L: liter; l: liter; dL: deciliter; dl: deciliter; mL: milliliter
    ml: milliliter; m: meter; km: kilometer; m^2: square meter; m^3: cubic meter; cm^3: cubic centimeter
    s^2: second squared; lb: pound; oz: ounce; gal: gallon; ft: foot; in: inch; sq ft: square foot
    kWh: kilowatt hour; GB: gigabyte; MB: megabyte; second: second; minute: minute; hour: hour; day: day
    night: night; week: week; month: month; year: year; person: person; pound: pound; mile: mile
    unit: unit; user: user; item: item; student: student; serving: serving; ticket: ticket; gallon: gallon
    liter: liter; ounce: ounce; capita: capita"""
)

# Sign or code: singular, plural, and the same of what a hundred of make one.
CURRENCIES = {
    key: tuple(name.strip() for name in names.split(","))
    for key, names in table(
        """$: dollar, dollars, cent, cents; €: euro, euros, cent, cents; £: pound, pounds, penny, pence
        ¥: yen, yen; ₹: rupee, rupees, paisa, paise; ₩: won, won; ₽: ruble, rubles; ₺: lira, lira
        ₪: shekel, shekels; ₴: hryvnia, hryvnias; ₿: bitcoin, bitcoins; ₫: dong, dong; ₱: peso, pesos
        ฿: baht, baht; ₦: naira, naira; ¢: cent, cents; US$: U.S. dollar, U.S. dollars, cent, cents
        A$: Australian dollar, Australian dollars, cent, cents
        AU$: Australian dollar, Australian dollars, cent, cents
        C$: Canadian dollar, Canadian dollars, cent, cents
        CA$: Canadian dollar, Canadian dollars, cent, cents
        NZ$: New Zealand dollar, New Zealand dollars, cent, cents
        HK$: Hong Kong dollar, Hong Kong dollars, cent, cents
        S$: Singapore dollar, Singapore dollars, cent, cents; R$: real, reais
        USD: U.S. dollar, U.S. dollars, cent, cents; EUR: euro, euros, cent, cents
        GBP: pound, pounds, penny, pence; JPY: yen, yen; CHF: Swiss franc, Swiss francs
        CAD: Canadian dollar, Canadian dollars, cent, cents
        AUD: Australian dollar, Australian dollars, cent, cents; CNY: yuan, yuan; RMB: yuan, yuan
        INR: rupee, rupees; KRW: won, won; SEK: Swedish krona, Swedish kronor
        NOK: Norwegian krone, Norwegian kroner; DKK: Danish krone, Danish kroner; PLN: zloty, zlotys
        MXN: Mexican peso, Mexican pesos; NZD: New Zealand dollar, New Zealand dollars
        SGD: Singapore dollar, Singapore dollars; BTC: bitcoin, bitcoins; kr: krona, kronor
        Rs: rupee, rupees; Rs.: rupee, rupees"""
    ).items()
}
MAGNITUDES = table(
    """hundred: hundred; thousand: thousand; million: million; billion: billion; trillion: trillion
    lakh: lakh; crore: crore; k: thousand; K: thousand; m: million; M: million; mn: million; mln: million
    mil: million; b: billion; B: billion; bn: billion; bln: billion; T: trillion; tn: trillion"""
)

# Letters that are units only under conditions of their own.
_ODD_UNITS = {
    "K": ("kelvin", "kelvins"),
    "in": ("inch", "inches"),
    "A": ("amp", "amps"),
    "F": ("degree Fahrenheit", "degrees Fahrenheit"),
    "C": ("degree Celsius", "degrees Celsius"),
}


@cache
def unit_names(unit: str | None) -> tuple[str, ...]:
    """Singular and plural of a unit; () for none."""
    if not unit:
        return ()
    if unit in _ODD_UNITS:
        return _ODD_UNITS[unit]
    names = tuple(name.strip() for name in UNITS[unit].split(","))
    return names if len(names) == 2 else (names[0], plural(names[0]))
