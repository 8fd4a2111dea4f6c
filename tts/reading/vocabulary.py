"""The tables of the reading: what is written short, and the words that tell how a number is meant."""


def _table(text: str) -> dict[str, str]:
    """Lines of "key: words", or several of them parted by ";"."""
    pairs = (entry.split(":", 1) for entry in text.replace("\n", ";").split(";") if entry.strip())
    return {key.strip(): words.strip() for key, words in pairs}


MONTHS = (
    "January February March April May June July August September October November December"
).split()
MONTH_OF = {name[:3].lower(): index for index, name in enumerate(MONTHS, 1)}
WEEKDAYS = _table(
    """Mon: Monday; Tue: Tuesday; Tues: Tuesday; Wed: Wednesday; Thu: Thursday; Thur: Thursday; Thurs: Thursday
    Fri: Friday; Sat: Saturday; Sun: Sunday"""
)

# Before a capitalized word, with or without a full stop.
TITLES = _table(
    """Dr: Doctor; Prof: Professor; St: Saint; Mt: Mount; Ft: Fort; Gen: General; Gov: Governor; Sen: Senator
    Rep: Representative; Capt: Captain; Lt: Lieutenant; Col: Colonel; Sgt: Sergeant; Cmdr: Commander; Rev: Reverend
    Hon: Honorable; Pres: President; Cpl: Corporal; Maj: Major; Adm: Admiral; Fr: Father; Msgr: Monsignor"""
)
# After a capitalized word, with a full stop.
PLACES = _table(
    """St: Street; Dr: Drive; Ave: Avenue; Blvd: Boulevard; Rd: Road; Ln: Lane; Hwy: Highway; Pkwy: Parkway; Sq: Square
    Ct: Court; Pl: Place; Mt: Mountain; Bldg: Building; Jr: Junior; Sr: Senior; Inc: Incorporated; Ltd: Limited
    Corp: Corporation; Co: Company; Bros: Brothers; Univ: University; Dept: Department"""
)
# Anywhere, with a full stop.
ABBREVIATIONS = _table(
    """e.g: for example; i.e: that is; etc: et cetera; vs: versus; approx: approximately; cf: compare; dept: department
    Dept: Department; govt: government; Govt: Government; Apt: Apartment; apt: apartment; Ave: Avenue; Blvd: Boulevard
    Mrs: Mrs.; Mr: Mr.; Ms: Ms.; est: estimated; min: minimum; max: maximum; incl: including; excl: excluding
    Univ: University; Jan: January; Feb: February; Aug: August; Sept: September; Oct: October; Nov: November
    Dec: December; P.S: P.S.; resp: respectively; misc: miscellaneous; temp: temperature; avg: average"""
)
# Without a full stop.
SHORTHANDS = _table(
    """w/: with; w/o: without; vs: versus; and/or: and or; he/she: he or she; she/he: she or he; s/he: he or she
    his/her: his or her; him/her: him or her; his/hers: his or hers; n/a: not applicable; N/A: not applicable
    c/o: care of; b/c: because; aka: also known as; AKA: also known as; a/c: air conditioning"""
)
# With a full stop, before a number.
BEFORE_NUMBER = _table(
    """no: number; No: Number; nos: numbers; Nos: Numbers; p: page; pp: pages; vol: volume; Vol: Volume; fig: figure
    Fig: Figure; figs: figures; Figs: Figures; ch: chapter; Ch: Chapter; sec: section; Sec: Section; ext: extension
    Ext: Extension; art: article; Art: Article; par: paragraph; eq: equation; Eq: Equation; Rm: Room; rm: room
    ca: about; c: about; approx: approximately; Apr: April; Mar: March; Jun: June; Jul: July"""
)

# Singular; the plural has an "s" unless it is given.
UNITS = _table(
    """km: kilometer; m: meter; cm: centimeter; mm: millimeter; µm: micrometer; nm: nanometer; dm: decimeter; mi: mile
    yd: yard; yds: yard; ft: foot, feet; kg: kilogram; g: gram; mg: milligram; µg: microgram; mcg: microgram; t: ton
    lb: pound; lbs: pound; oz: ounce; fl oz: fluid ounce; tbsp: tablespoon; Tbsp: tablespoon; tbs: tablespoon
    tsp: teaspoon; gal: gallon; qt: quart; pt: pint; L: liter; l: liter; ml: milliliter; mL: milliliter; cl: centiliter
    dl: deciliter; dL: deciliter; kph: kilometer per hour, kilometers per hour; kmh: kilometer per hour, kilometers per hour
    mph: mile per hour, miles per hour; mpg: mile per gallon, miles per gallon; rpm: revolution per minute, revolutions per minute
    bpm: beat per minute, beats per minute; fps: frame per second, frames per second
    Hz: hertz, hertz; kHz: kilohertz, kilohertz; MHz: megahertz, megahertz; GHz: gigahertz, gigahertz; B: byte; KB: kilobyte
    kB: kilobyte; MB: megabyte; GB: gigabyte; TB: terabyte; PB: petabyte; Kb: kilobit; Mb: megabit; Gb: gigabit
    MiB: mebibyte; GiB: gibibyte; kbps: kilobit per second, kilobits per second; Kbps: kilobit per second, kilobits per second
    Mbps: megabit per second, megabits per second; Gbps: gigabit per second, gigabits per second
    h: hour; hr: hour; hrs: hour; min: minute; mins: minute; s: second; sec: second; secs: second; ms: millisecond
    µs: microsecond; ns: nanosecond; wk: week; wks: week; mo: month; mos: month; yr: year; yrs: year; V: volt; mV: millivolt; kV: kilovolt
    W: watt; mW: milliwatt; kW: kilowatt; MW: megawatt; GW: gigawatt; Wh: watt hour; kWh: kilowatt hour
    MWh: megawatt hour; mA: milliamp; mAh: milliamp hour; Ah: amp hour; Ω: ohm; kΩ: kilohm; J: joule; kJ: kilojoule; cal: calorie
    kcal: kilocalorie; Nm: newton meter; Pa: pascal; kPa: kilopascal; hPa: hectopascal; MPa: megapascal; psi: pound per square inch, pounds per square inch
    mbar: millibar; atm: atmosphere; ha: hectare; mol: mole; ppm: part per million, parts per million; dB: decibel; px: pixel; dpi: dot per inch, dots per inch
    hp: horsepower, horsepower; sq ft: square foot, square feet; sq mi: square mile; sq km: square kilometer; sq m: square meter
    sq in: square inch, square inches; cu ft: cubic foot, cubic feet; cc: cubic centimeter; m^2: square meter; km^2: square kilometer; cm^2: square centimeter
    mm^2: square millimeter; ft^2: square foot, square feet; in^2: square inch, square inches; m^3: cubic meter; cm^3: cubic centimeter; mm^3: cubic millimeter
    km^3: cubic kilometer; ft^3: cubic foot, cubic feet; mmHg: millimeter of mercury, millimeters of mercury; mi^2: square mile
    °C: degree Celsius, degrees Celsius; °F: degree Fahrenheit, degrees Fahrenheit; °K: kelvin; °: degree; K: kelvin; pct: percent, percent
    %: percent, percent; ‰: per mille, per mille; ly: light year; kn: knot; kt: knot"""
)
# What may stand behind a unit, price or count and a stroke.
PER = _table(
    """s: second; sec: second; min: minute; h: hour; hr: hour; d: day; wk: week; mo: month; yr: year; kg: kilogram; g: gram; mg: milligram
    L: liter; l: liter; dL: deciliter; dl: deciliter; mL: milliliter; ml: milliliter; m: meter; km: kilometer; m^2: square meter; m^3: cubic meter; cm^3: cubic centimeter
    s^2: second squared; lb: pound; oz: ounce; gal: gallon; ft: foot; in: inch; sq ft: square foot; kWh: kilowatt hour; GB: gigabyte; MB: megabyte
    second: second; minute: minute; hour: hour; day: day; night: night; week: week; month: month; year: year; person: person; pound: pound
    mile: mile; unit: unit; user: user; item: item; student: student; serving: serving; ticket: ticket; gallon: gallon; liter: liter; ounce: ounce; capita: capita"""
)

# Sign or code: singular, plural; cent, cents.
CURRENCIES = {
    key: tuple(name.strip() for name in names.split(","))
    for key, names in _table(
        """$: dollar, dollars, cent, cents; €: euro, euros, cent, cents; £: pound, pounds, penny, pence; ¥: yen, yen
        ₹: rupee, rupees, paisa, paise; ₩: won, won; ₽: ruble, rubles; ₺: lira, lira; ₪: shekel, shekels; ₴: hryvnia, hryvnias
        ₿: bitcoin, bitcoins; ₫: dong, dong; ₱: peso, pesos; ฿: baht, baht; ₦: naira, naira; ¢: cent, cents
        US$: U.S. dollar, U.S. dollars, cent, cents; A$: Australian dollar, Australian dollars, cent, cents
        AU$: Australian dollar, Australian dollars, cent, cents; C$: Canadian dollar, Canadian dollars, cent, cents
        CA$: Canadian dollar, Canadian dollars, cent, cents; NZ$: New Zealand dollar, New Zealand dollars, cent, cents
        HK$: Hong Kong dollar, Hong Kong dollars, cent, cents; S$: Singapore dollar, Singapore dollars, cent, cents
        R$: real, reais; USD: U.S. dollar, U.S. dollars, cent, cents; EUR: euro, euros, cent, cents; GBP: pound, pounds, penny, pence
        JPY: yen, yen; CHF: Swiss franc, Swiss francs; CAD: Canadian dollar, Canadian dollars, cent, cents; AUD: Australian dollar, Australian dollars, cent, cents
        CNY: yuan, yuan; RMB: yuan, yuan; INR: rupee, rupees; KRW: won, won; SEK: Swedish krona, Swedish kronor
        NOK: Norwegian krone, Norwegian kroner; DKK: Danish krone, Danish kroner; PLN: zloty, zlotys; MXN: Mexican peso, Mexican pesos
        NZD: New Zealand dollar, New Zealand dollars; SGD: Singapore dollar, Singapore dollars; BTC: bitcoin, bitcoins; kr: krona, kronor
        Rs: rupee, rupees; Rs.: rupee, rupees"""
    ).items()
}
MAGNITUDES = _table(
    """hundred: hundred; thousand: thousand; million: million; billion: billion; trillion: trillion; k: thousand; K: thousand
    m: million; M: million; mn: million; mln: million; mil: million; b: billion; B: billion; bn: billion; bln: billion; T: trillion; tn: trillion"""
)

# Whom a numeral places in a row: "Henry VIII" is "Henry the eighth", "Rocky IV" is "Rocky four".
RULERS = frozenset(
    """King Queen Pope Emperor Empress Tsar Czar Prince Kaiser Sultan Pharaoh Patriarch Henry Louis Edward George William Charles
    James Richard Elizabeth Mary Napoleon Pius Benedict Leo Paul John Ramses Ramesses Rameses Frederick Friedrich Philip Felipe Alexander
    Nicholas Peter Catherine Ivan Umberto Emmanuel Emanuel Gustav Gustavus Christian Ferdinand Francis Franz Wilhelm Alfonso Alphonso
    Gregory Urban Innocent Clement Boniface Sixtus Julius Adrian Celestine Stephen Robert David Malcolm Kenneth Harald Haakon Olaf Olav Carl
    Karl Otto Rudolf Rudolph Maximilian Leopold Albert Baldwin Mehmed Murad Selim Suleiman Mahmud Abdul Ptolemy Cleopatra Darius Xerxes
    Cyrus Seti Thutmose Amenhotep Amenophis Sargon Margrethe Beatrix Juan Joseph Isabella Sancho Pedro Manuel Afonso Rama Thomas Martin Luther
    Michael Samuel Walter Harold Arthur Theodore Howard Edmund Constantine Justinian Theodosius Abdullah Hussein Hassan Mohammed Muhammad Faisal
    Casimir Sigismund Vladislaus Bela Andrew Louisa Victor Hugo Daniel""".split()
)
# What a numeral counts.
COUNTED = frozenset(
    """Chapter Part Act Scene Section Volume Book Phase Article War Mark Type Level Stage Class Grade Bowl Apollo Gemini
    Fantasy Episode Round Rocky Title Appendix Figure Table Unit Division Category Schedule Annex Movement Saturn Vatican Olympiad
    Lesson Exercise Problem Step Season Generation Mk Page Canto Psalm Verse Factor Tier Zone Group Area Region District""".split()
)

# "The code is 4711": the digits of the next number are read one by one.
CODES = (
    "pin|pin code|passcode|password|code|codes|otp|zip|postcode|id|ext|extension|cvv|cvc"
    "|(?:account|serial|confirmation|order|tracking|phone|telephone|fax|mobile|cell|card|routing|reference|case"
    "|ticket|passport|license|licence|badge|model|part|customer|member|employee|invoice|student) (?:number|no\\.?)"
)
CALLS = "call|calls|called|calling|dial|dials|dialed|dialing|text|phone|ring|fax|hotline|telephone|tel"
ROOMS = "room|flight|suite|apartment|apt|highway|route|interstate|bus|boeing|unit|gate|train|terminal|locker|channel|hotel room"

GREEK = dict(
    zip(
        "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ",  # noqa: RUF001
        2
        * (
            "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau "
            "upsilon phi chi psi omega"
        ).split(),
        strict=True,
    )
)
SYMBOLS = {
    "≤": " is at most ",
    "≥": " is at least ",
    "≠": " is not equal to ",
    "≈": " is about ",
    "≡": " is identical to ",
    "<": " is less than ",
    ">": " is greater than ",
    "=": " equals ",
    "±": " plus or minus ",
    "−": " minus ",  # noqa: RUF001
    "×": " times ",  # noqa: RUF001
    "·": " times ",
    "÷": " divided by ",
    "+": " plus ",
    "&": " and ",
    "@": " at ",
    "%": " percent ",
    "‰": " per mille ",
    "°": " degrees ",
    "→": " to ",
    "⇒": " implies ",
    "↔": " to and from ",
    "←": " from ",
    "∞": " infinity ",
    "√": " the square root of ",
    "∛": " the cube root of ",
    "∑": " the sum of ",
    "∫": " the integral of ",
    "∂": " partial ",
    "∆": " delta ",
    "∈": " in ",
    "∉": " not in ",
    "∪": " union ",
    "∩": " intersection ",
    "⊂": " is a subset of ",
    "∀": " for all ",
    "∃": " there is ",
    "∴": " therefore ",
    "§": " section ",
    "¶": " paragraph ",
    "©": " copyright ",
    "^": " to the power of ",
    "/": " slash ",
    "$": " dollars ",
    "€": " euros ",
    "£": " pounds ",
    "¥": " yen ",
    "₹": " rupees ",
    "¢": " cents ",
    "#": " hashtag ",
}
