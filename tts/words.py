"""The words that decide where English text may be cut into phrases."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# They lean on the next word: a phrase must not end with one.
LEANING = _words(
    """a an the my your his her its our their some any no every each i he she we they
    is are was were be been am do does did has have had can could will would shall should may might must not
    very and but or nor so because which who whose when while where if as than of to in on at for with from by
    into about over under between mr mrs ms dr"""
)

# They lean too, unless a joiner follows: "if you go", but "help you" | "with that".
OBJECTS = _words("you it this that these those")

# A phrase may well start with one: conjunctions and prepositions ("of", "to" bind too tightly to the left).
JOINERS = _words(
    """and but or so because which who when while where if although though since until unless as than for with
    in on at from by into about after before during through between without within"""
)

# They never end a sentence: joining two sentences is not heard, splitting after a title is.
ABBREVIATIONS = _words(
    """Mr Mrs Ms Dr Prof St Mt Ft Gen Gov Sen Rep Capt Lt Col Sgt Cmdr Rev Hon Pres Supt Cpl Maj Adm Fr Msgr
    Ave Blvd Rd Hwy Apt Bldg Dept Univ Assn vs cf approx est vol Vol fig Fig ch Ch pp ed eds Eds al Jan Feb
    Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Sat Sun Sec eq Eq Rm rm ext Ext Sq
    Ct Pl Ln Pkwy incl excl misc govt Govt dept apt resp ca"""
)

# They end one if a capital letter follows ("at 6 p.m. The ...", "8 oz. of cheese").
SOMETIMES_LAST = _words(
    """etc a.m p.m A.M P.M Inc Ltd Co Corp Bros Jr Sr
    oz lb lbs ft in yd mi tsp tbsp gal hr hrs min mins secs max avg temp"""
)

# "No. 5" and "No. I won't.": they end one unless a number follows.
NUMBER_SIGNS = _words("no No nos Nos")

# How the next number is read hangs on them ("the code 4711"): a phrase must not end between the two.
BEFORE_NUMBERS = _words(
    """number numbers no code codes pin passcode password otp zip postcode id extension account serial room
    flight suite apartment highway route gate bus train channel call calls called calling dial dialing text
    phone ring press chapter page pages section part volume act scene step level version verse minus plus
    times equals error"""
)
