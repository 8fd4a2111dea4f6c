"""Written English in the words that a reader would say: "Dr. Lee paid $3.50 at 9:05" and the like.

Each pass takes what is its own out of the text and leaves words, so nothing is read twice. What more can be
known of a number comes first: addresses, telephone numbers and codes, dates and times, then names, sums,
money and measures, and last the numbers that are only numbers.
"""

import re

from tts.reading.abbreviations import read_abbreviations
from tts.reading.arithmetic import read_arithmetic
from tts.reading.codes import read_codes
from tts.reading.dates import read_dates, read_times
from tts.reading.fractions import read_fractions
from tts.reading.markup import plain, tidy
from tts.reading.measures import read_measures
from tts.reading.money import read_money
from tts.reading.names import read_alphanumerics, read_names
from tts.reading.romans import read_romans
from tts.reading.symbols import name_scripts, read_symbols
from tts.reading.web import read_addresses

__all__ = ["in_words"]

_DIGIT = re.compile(r"\d")


def in_words(text: str) -> str:
    """The words of `text`, in one line, with the punctuation that a voice heeds; "" if there are none."""
    text = name_scripts(read_addresses(plain(text)))
    text = read_names(read_romans(read_abbreviations(text)))
    if _DIGIT.search(text):
        text = read_times(read_codes(read_dates(text)))
        text = read_money(read_arithmetic(text))
        text = read_measures(read_alphanumerics(read_fractions(text)))
    else:
        text = read_arithmetic(text)
    return tidy(read_symbols(text))
