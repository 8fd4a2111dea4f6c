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
    """a an the my your our their his and or but if than because when while before until since which whose
    would could should to of for with by from in at into about is are was were i we they very"""
)
"""Words after which most sentences go on."""
_PARTICLES = _set("on off")
"""They end "hold on" and "turn it off", and not "turn on", if phrases begin with that."""
_FILLERS = _set("um uh er erm hmm ah eh like well so okay")
_SOUNDS = _set("oh mm hm hmm aha huh wow")
"""Alone, one of them is often followed by what is meant."""
_WORD = re.compile(r"[\w']+")

_WEIGHTS = {
    "closing": 0.55,
    "going_on": -1.08,
    "words": 1.37,
    "one": 5.75,
    "two": 1.6,
    "open": -0.33,
    "filler": -6.5,
    "command": 3.61,
    "bias": -5.87,
}
_SOUND = (-1.05, 1.03, 0.4)
"""Constant, weight of the words' log-odds and of the sound's."""
DOUBTFUL = 3.0
"""Below such log-odds of the words the language model is asked before it replies, which delays the reply by a
pass of it. Fixed, just above the default threshold: simulations try many values of `patience` on one
recording, and what is asked of the models may depend on nothing but the turn machine's answers."""
_READING = (0.45, 0.89, 0.23)
"""Constant, weight of the words' log-odds and of the language model's that a sentence closes there."""
_READ_SOUND = (-0.8, 0.95, 0.31)
"""As _SOUND, where the language model has read the words: the weight is of these log-odds."""
_COMPLETE = 2.0
"""Behind what skills understand wholly 17 silences of `fit` and `choose` are ends and 1 is a pause, of all
307 and 206: the logarithm of (17.5 / 1.5) / (307 / 206). Too few to be fitted with the rest."""
_SHORTEST_S, _LONGEST_S = 0.25, 1.4
"""Pauses inside of turns last so long; their logarithms are spread evenly between."""
_OVER = 0.02  # of the pauses last longer


def complete_phrases(phrases: Collection[str]) -> frozenset[str]:
    """Of `phrases` those, in lower case, that nothing need follow."""
    known = {" ".join(_WORD.findall(phrase.lower())) for phrase in phrases} - {""}
    begins = {" ".join(words[:n]) for words in map(str.split, known) for n in range(1, len(words))}
    return frozenset(phrase for phrase in known if not _wants_more(phrase, phrase in begins))


def _wants_more(phrase: str, begins_another: bool) -> bool:
    last = phrase.split()[-1]
    return last in _OPEN | _SOUNDS or (last in _PARTICLES and begins_another)


def features(text: str, ending: Ending | None, commands: Collection[str] = ()) -> dict[str, float]:
    """What the log-odds of `text` are a weighted sum of; `commands` are `complete_phrases`."""
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
        "command": float(" ".join(words) in commands),
        "bias": 1.0,
    }


def by_words(
    text: str, ending: Ending | None, commands: Collection[str] = (), *, complete: bool = False
) -> float:
    """Log-odds that a turn which reads `text` is over; `commands` are `complete_phrases`.

    `complete`: a skill understands all of it, and no free words are at its end.
    """
    found = features(text, ending, commands).items()
    return sum(_WEIGHTS[name] * value for name, value in found) + _COMPLETE * complete


def with_sound(words: float, probability: float, *, read: bool = False) -> float:
    """Log-odds by the words' log-odds, `read` or not, and the probability that the turn sounds complete."""
    constant, of_words, of_sound = _READ_SOUND if read else _SOUND
    return constant + of_words * words + of_sound * logit(probability)


def with_reading(words: float, closes: float) -> float:
    """Log-odds by the words' log-odds and the language model's that the sentence closes there."""
    constant, of_words, of_reading = _READING
    return constant + of_words * words + of_reading * closes


def by_silence(silence_ms: float) -> float:
    """What a silence adds: of the pauses, so many would be over by now (Bayes' rule)."""
    share = log(max(silence_ms / 1000, _SHORTEST_S) / _SHORTEST_S) / log(_LONGEST_S / _SHORTEST_S)
    return -log(max(1 - share, _OVER))


def log_odds(text: float, audio: float | None, silence_ms: float, *, read: bool = False) -> float:
    """Log-odds that a turn is over, by its words, by its sound, if that was scored, and by the silence."""
    scored = text if audio is None else with_sound(text, audio, read=read)
    return scored + by_silence(silence_ms)


def logit(p: float) -> float:
    """Log-odds of a probability, between -6.9 and 6.9."""
    p = min(max(p, 1e-3), 1 - 1e-3)
    return log(p / (1 - p))
