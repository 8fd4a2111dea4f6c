"""What the guards against invented words take away from what was said: repeats, digits, single words.

Full attention alone, decoded greedily without a guard, is what there was to be lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.decode import token_limit
from asr.eval.normalize import normalize
from asr.eval.score import align
from asr.moonshine.config import BOS, EOS
from asr.moonshine.vocabulary import text_of
from asr.recognizer import Recognizer

TEXTS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "repeats": """
No no no no no, not that one.
It was far, far, far, far away in another country.
Count ten, ten, ten, ten, ten, and then stop.
Nine nine nine nine nine nine, call them now.
Very, very, very, very good.
Wait, wait, wait, wait.
Ha ha ha ha ha, that was funny.
Row, row, row your boat.
Knock knock. Knock knock. Knock knock.
Bye bye bye bye.
Yes, yes, yes, yes, I heard you.
Go go go go go!
Again and again and again and again.
Turn left, turn left, turn left, then turn right.
More and more and more and more people came.
Long, long, long ago there lived a king.
Beep beep beep beep, said the truck.
On and on and on and on it went.
Thank you, thank you, thank you, thank you so much.
Stop it, stop it, stop it, stop it right now.
""".strip().splitlines(),
        "digits": """
Dial nine one one or eight zero zero one two three four five six.
One one one one one one one.
The code is zero zero zero zero.
My number is five five five, five five five, one two one two.
Seven seven seven, three three three, seven seven seven.
Two two two two.
It is eight eight eight, eight eight eight, eight eight eight eight.
Zero one zero one zero one.
Nine eight seven six five four three two one.
The pin is four four four four.
Six six six six six six.
One two three one two three one two three.
Room three three three.
Call three three three, four four four, five five five five.
Twenty, twenty, twenty, twenty.
One, one, two, three, five, eight.
The flight is six six eight eight.
Zero.
Eleven eleven eleven.
Five five five five five five five five five five.
""".strip().splitlines(),
        "single words": """
Stop. Yes. No. Maybe. Twelve. Louder. Tomorrow. Exactly. Snooze. Never.
Bananas. Thursday. Paris. Seven. Nothing. Quiet. Why? Here. Orange. Later.
""".strip().split(),
    }
)
"""Of each kind twenty, by which nothing was chosen."""


@dataclass(frozen=True)
class Kept:
    """Words and single digits of one clip: those said, those read without guards, and those lost."""

    words: int
    unguarded: int
    lost: tuple[str, ...]


def unguarded(models: Recognizer, audio: NDArray[np.float32]) -> str:
    """What full attention reads in `audio` ([n] at 16 kHz), whether it is sure or repeats itself or not."""
    state, tokens = models.decoder.begin(), list[int]()
    models.decoder.push(state, models.full.encode(audio))
    following = BOS
    while len(tokens) < 2 * token_limit(len(audio) / RATE):
        following = int(models.decoder.decode(state, [following]).best[0])
        if following == EOS:
            break
        tokens.append(following)
    return text_of(tokens, models.vocabulary)


def kept(reference: str, without: str, guarded: str) -> Kept:
    """Compare what was read `without` guards and what was in the end with what was said."""
    said = _pieces(reference)
    steps = align(said, _pieces(without)), align(said, _pieces(guarded))
    right = {step.reference for step in steps[0] if step.equal}
    gone = [step.reference for step in steps[1] if step.hypothesis is None and step.reference in right]
    return Kept(len(said), len(right), tuple(said[at] for at in gone if at is not None))


def _pieces(text: str) -> list[str]:
    """Words, and the digits of numbers one by one: "nine nine" and "99" are two."""
    words = normalize(text).split()
    return [piece for word in words for piece in (word if word.isdigit() else [word])]
