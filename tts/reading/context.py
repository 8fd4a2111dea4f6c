"""What stands around a quantity and decides how it is said."""

import re

from tts.reading.tables import words

_ARTICLE = re.compile(
    r"\b(?:[Aa]n?|[Tt]h(?:e|is|at)|[Mm]y|[Yy]our|[Hh]is|[Hh]er|[Oo]ur|[Ee]very|[Ee]ach|[Aa]nother|new"
    r"|old|big|small) $"
)
_NOUN = re.compile(r"[ -]([a-z][a-z'-]*)")
_NO_NOUN = frozenset(
    words(
        """a an the and or but is are was were be been am to of in on at by for from with per each more less
        than as if so that this it we you i he she they do does did has have had can could will would may
        might must not now then when while which who off out up down into over under before after away
        long high tall wide deep thick old ago later earlier apart total today tomorrow yesterday every
        because since until only just about all both there here"""
    )
)
_COUNTED = re.compile(
    r"\s(?:of )?(?!was\b|is\b|has\b|as\b|this\b|its\b|his\b|us\b|does\b|always\b|perhaps\b|towards\b"
    r"|besides\b"
    r"|sometimes\b|yes\b|plus\b)(?:[a-z]+ )?(?:[a-z]{2,}(?<!s)s|people|men|women|children)\b"
)
_POSITION = re.compile(
    r"(?:\b(?:in|since|of|by|until|till|from|before|after|during|year|around|circa|early|late|mid|and"
    r"|to|than|ad|spring"
    r"|summer|autumn|fall|winter)|[(©])[ -]?$",
    re.IGNORECASE,
)


def is_adjective(match: re.Match[str]) -> bool:
    """Whether the quantity stands between an article and a noun: "a $5 bill", "a 10 km run"."""
    following = _NOUN.match(match.string[match.end() :])
    return bool(
        following
        and following[1] not in _NO_NOUN
        and not following[1].endswith(("ly", "ing"))
        and _ARTICLE.search(match.string[: match.start()])
    )


def may_be_year(match: re.Match[str]) -> bool:
    """Whether the number may be a year: it does not count what follows, or stands where years do."""
    counted = _COUNTED.match(match.string[match.end() :])
    return not counted or bool(_POSITION.search(match.string[: match.start()]))
