"""How probably a turn is over, in log-odds: by its words, by its sound, and by how long the silence lasts.

The weights were fitted by `python -m assistant.endpointing`, which says on what and how well they hold.
"""

import re
from collections.abc import Collection
from math import exp, log

from asr.ending import Ending


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_OPEN = _set(
    """a an the to of for with by from in on at and or but if that my your his her our their this these
    those is are was were as than about into some any no not because so then i we you he she it its
    while when after before until since which who what whose would could should can will do does did
    have has had be been like off"""
)
"""Words after which most sentences go on."""
_FILLERS = _set("um uh er erm hmm ah eh like well so okay")
_WORD = re.compile(r"[\w']+")

_WEIGHTS = {
    "closing": 0.33,
    "going_on": -0.96,
    "words": 1.22,
    "one": 4.89,
    "two": 1.8,
    "open": -0.44,
    "filler": -3.96,
    "command": 2.54,
    "bias": -5.04,
}
_SOUND = (-0.85, 1.09, 0.32)
"""Constant, weight of the words' log-odds and of the sound's."""
_SHORTEST_S, _LONGEST_S = 0.25, 1.4
"""Pauses inside of turns last so long; their logarithms are spread evenly between."""
_OVER = 0.02  # of the pauses last longer


def features(text: str, ending: Ending | None, commands: Collection[str] = ()) -> dict[str, float]:
    """What the log-odds of `text` are a weighted sum of."""
    words = _WORD.findall(text.lower())
    last = words[-1] if words else ""
    closing, going_on = (logit(exp(ending.closing)), ending.going_on) if ending else (0.0, -3.0)
    return {
        "closing": closing,
        "going_on": max(going_on, -9.0),
        "words": min(len(words), 12) / 4,
        "one": float(len(words) == 1),
        "two": float(len(words) == 2),
        "open": float(last in _OPEN),
        "filler": float(last in _FILLERS),
        "command": float(" ".join(words) in commands and last not in _OPEN),
        "bias": 1.0,
    }


def by_words(text: str, ending: Ending | None, commands: Collection[str] = ()) -> float:
    """Log-odds that a turn which reads `text` is over. `commands` are complete as they stand."""
    return sum(_WEIGHTS[name] * value for name, value in features(text, ending, commands).items())


def with_sound(words: float, probability: float) -> float:
    """Log-odds by the words' log-odds and the probability that the turn sounds complete."""
    constant, of_words, of_sound = _SOUND
    return constant + of_words * words + of_sound * logit(probability)


def by_silence(silence_ms: float) -> float:
    """What a silence adds: of the pauses, so many would be over by now (Bayes' rule)."""
    share = log(max(silence_ms / 1000, _SHORTEST_S) / _SHORTEST_S) / log(_LONGEST_S / _SHORTEST_S)
    return -log(max(1 - share, _OVER))


def logit(p: float) -> float:
    """Log-odds of a probability, between -6.9 and 6.9."""
    p = min(max(p, 1e-3), 1 - 1e-3)
    return log(p / (1 - p))
