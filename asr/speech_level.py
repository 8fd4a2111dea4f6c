"""How loud a stream is: the end of speech is told sooner by it than by a voice detector, which lingers."""

from collections import deque
from statistics import median

import numpy as np
from numpy.typing import NDArray

_SURE = 0.98  # the detector hears voice, however quiet
_VOICE, _SILENCE = 0.5, 0.35  # probabilities
_DROP_DB = 18.0  # below the loudest of late
_NEAR_DB = 3.0  # above the silence between what is said
_DECAY_DB = 0.5  # of the loudest, a window of 32 ms
_REMEMBERED = 150  # windows of silence, about five seconds
_DIGITAL_SILENCE = 1e-10  # -100 dBFS


class SpeechLevel:
    """The levels of one stream's speech and silence, window by window."""

    def __init__(self) -> None:
        self._loudest_db = -100.0
        self._silence_db: deque[float] = deque(maxlen=_REMEMBERED)

    def fades(self, window: NDArray[np.float32], voice: float) -> bool:
        """Whether this `window` [n] is as quiet as silence behind speech; `voice` is the detector's verdict.

        Silero stays above 0.35 for 64 ms (median) behind the last audible sample; so the end is found behind
        35. Chosen on 88 recorded turns, the parts fit and choose of `assistant.endpointing`, where silences
        inside words are found 0.12 times in a second of speech, and 0.06 times by Silero alone.
        """
        power = float(np.mean(np.square(window, dtype=np.float64)))
        level_db = 10 * float(np.log10(power + _DIGITAL_SILENCE))
        self._loudest_db -= _DECAY_DB
        if voice > _VOICE:
            self._loudest_db = max(self._loudest_db, level_db)
        elif voice < _SILENCE:
            self._silence_db.append(level_db)
        if not self._silence_db or voice >= _SURE:
            return False
        near = level_db < median(self._silence_db) + _NEAR_DB
        return near and level_db < self._loudest_db - _DROP_DB
