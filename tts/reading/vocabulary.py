"""The tables of the reading: what is written short, and the words that tell how a number is meant."""

# ruff: noqa: RUF001 - dashes, minus and multiplication signs are what it is about

from tts.reading.tables import table, words

MONTHS = list(words("January February March April May June July August September October November December"))
MONTH_OF = {name[:3].lower(): index for index, name in enumerate(MONTHS, 1)}
WEEKDAYS = table(
    """Mon: Monday; Tue: Tuesday; Tues: Tuesday; Wed: Wednesday; Thu: Thursday; Thur: Thursday
    Thurs: Thursday; Fri: Friday; Sat: Saturday; Sun: Sunday"""
)

# Before a capitalized word, with or without a full stop.
TITLES = table(
    """Dr: Doctor; Prof: Professor; St: Saint; Mt: Mount; Ft: Fort; Gen: General; Gov: Governor; Sen: Senator
    Rep: Representative; Capt: Captain; Lt: Lieutenant; Col: Colonel; Sgt: Sergeant; Cmdr: Commander
    Rev: Reverend; Hon: Honorable; Pres: President; Cpl: Corporal; Maj: Major; Adm: Admiral; Fr: Father
    Msgr: Monsignor"""
)

# After a capitalized word, with a full stop.
PLACES = table(
    """St: Street; Dr: Drive; Ave: Avenue; Blvd: Boulevard; Rd: Road; Ln: Lane; Hwy: Highway; Pkwy: Parkway
    Sq: Square; Ct: Court; Pl: Place; Mt: Mountain; Bldg: Building; Jr: Junior; Sr: Senior
    Inc: Incorporated; Ltd: Limited; Corp: Corporation; Co: Company; Bros: Brothers; Univ: University
    Dept: Department"""
)

# Anywhere, with a full stop.
ABBREVIATIONS = table(
    """e.g: for example; E.g: For example; i.e: that is; I.e: That is; a.k.a: also known as; etc: et cetera
    vs: versus; approx: approximately; cf: compare; dept: department; Dept: Department; govt: government
    Govt: Government; Apt: Apartment; apt: apartment; Ave: Avenue; Blvd: Boulevard; Mrs: Mrs.; Mr: Mr.
    Ms: Ms.; est: estimated; min: minimum; max: maximum; incl: including; excl: excluding
    Univ: University; Jan: January; Feb: February; Aug: August; Sept: September; Oct: October
    Nov: November; Dec: December; P.S: P.S.; resp: respectively; misc: miscellaneous; temp: temperature
    avg: average"""
)

# Without a full stop.
SHORTHANDS = table(
    """w/: with; w/o: without; vs: versus; and/or: and or; either/or: either or; he/she: he or she
    she/he: she or he; s/he: he or she; his/her: his or her; him/her: him or her; his/hers: his or hers
    n/a: not applicable; N/A: not applicable; c/o: care of; b/c: because; aka: also known as
    AKA: also known as; a/c: air conditioning"""
)

# With a full stop, before a number.
BEFORE_NUMBER = table(
    """no: number; No: Number; nos: numbers; Nos: Numbers; p: page; pp: pages; vol: volume; Vol: Volume
    fig: figure; Fig: Figure; figs: figures; Figs: Figures; ch: chapter; Ch: Chapter; sec: section
    Sec: Section; ext: extension; Ext: Extension; Art: Article; par: paragraph; eq: equation
    Eq: Equation; Rm: Room; rm: room; ca: about; c: about; approx: approximately; Apr: April; Mar: March
    Jun: June; Jul: July"""
)

# Whom a numeral places in a row: "Henry VIII" is "Henry the eighth", "Rocky IV" is "Rocky four".
RULERS = frozenset(
    words(
        """King Queen Pope Emperor Empress Tsar Czar Prince Kaiser Sultan Pharaoh Patriarch Henry Louis
        Edward George William Charles James Richard Elizabeth Mary Napoleon Pius Benedict Leo Paul John
        Ramses Ramesses Rameses Frederick Friedrich Philip Felipe Alexander Nicholas Peter Catherine Ivan
        Umberto Emmanuel Emanuel Gustav Gustavus Christian Ferdinand Francis Franz Wilhelm Alfonso
        Alphonso Gregory Urban Innocent Clement Boniface Sixtus Julius Adrian Celestine Stephen Robert
        David Malcolm Kenneth Harald Haakon Olaf Olav Carl Karl Otto Rudolf Rudolph Maximilian Leopold
        Albert Baldwin Mehmed Murad Selim Suleiman Mahmud Abdul Ptolemy Cleopatra Darius Xerxes Cyrus Seti
        Thutmose Amenhotep Amenophis Sargon Margrethe Beatrix Juan Joseph Isabella Sancho Pedro Manuel
        Afonso Rama Thomas Martin Luther Michael Samuel Walter Harold Arthur Theodore Howard Edmund
        Constantine Justinian Theodosius Abdullah Hussein Hassan Mohammed Muhammad Faisal Casimir
        Sigismund Vladislaus Bela Andrew Louisa Victor Hugo Daniel"""
    )
)

# What a numeral counts.
COUNTED = frozenset(
    words(
        """Chapter Part Act Scene Section Volume Book Phase Article War Mark Type Level Stage Class Grade
        Bowl Apollo Gemini Fantasy Episode Round Rocky Title Appendix Figure Table Unit Division Category
        Schedule Annex Movement Saturn Vatican Olympiad Lesson Exercise Problem Step Season Generation Mk
        Page Canto Psalm Verse Factor Tier Zone Group Area Region District"""
    )
)

# "The code is 4711": the digits of the next number are read one by one.
CODES = (
    r"pin|pin code|passcode|password|code|codes|otp|zip|postcode|id|ext|extension|cvv|cvc|(?:account|serial"
    r"|confirmation|order|tracking|phone|telephone|fax|mobile|cell|card|routing|reference|case|ticket"
    r"|passport"
    r"|license|licence|badge|model|part|customer|member|employee|invoice|student) (?:number|no\.?)"
)
CALLS = (
    "call|calls|called|calling|dial|dials|dialed|dialing|text|phone|ring|fax|hotline|helpline|telephone|tel|reply"
    "|emergency"
)
# "Room 101": digits are read in pairs.
ROOMS = "room|flight|suite|apartment|apt|highway|route|interstate|bus|boeing|unit|gate|train|terminal|channel"

_LETTERS = words(
    """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau
    upsilon phi chi psi omega"""
)
_SIGNS = "αβγδεζηθικλμνξοπρστυφχψω", "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
GREEK = {sign: name for signs in _SIGNS for sign, name in zip(signs, _LETTERS, strict=True)}

SYMBOLS = table(
    """≤: is at most; ≥: is at least; ≠: is not equal to; ≈: is about; ≡: is identical to; <: is less than
    >: is greater than; =: equals; ±: plus or minus; −: minus; ×: times; ·: times; ÷: divided by; +: plus
    &: and; @: at; %: percent; ‰: per mille; °: degrees; →: to; ⇒: implies; ↔: to and from; ←: from
    ∞: infinity; √: the square root of; ∛: the cube root of; ∑: the sum of; ∫: the integral of; ∂: partial
    ∆: delta; ∈: in; ∉: not in; ∪: union; ∩: intersection; ⊂: is a subset of; ∀: for all; ∃: there is
    ∴: therefore; §: section; ¶: paragraph; ©: copyright; ^: to the power of; /: slash; $: dollars
    €: euros; £: pounds; ¥: yen; ₹: rupees; ¢: cents; #: hashtag"""
)
