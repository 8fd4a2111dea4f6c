"""The gate of a wake word: while it is asleep a session is given silence in place of what is recorded.

A detector tells of the phrase a little before or after its end, never exactly there. What was recorded is
therefore held back, and the words of the turn begin in the quietest moment near that end: the name in
front of them stays out, and a question in the same breath is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.session.ring import Frame

Array = NDArray[np.float32]

EARLY_MS, LATE_MS = -300, 400
"""Where, from the moment of its detection, the end of a phrase may be at the most."""
_QUIET = 30 * RATE // 1000  # samples in which the voice is measured
_STEP = 5 * RATE // 1000


@dataclass(frozen=True)
class Phrase:
    """What wakes, and where it ends: milliseconds from its detection, within EARLY_MS and LATE_MS."""

    text: str
    earliest_ms: int
    latest_ms: int


class WakeWord(Protocol):
    """A detector of one phrase in a stream of audio."""

    phrase: Phrase

    def push(self, audio: Array) -> bool:
        """Whether the phrase was detected in `audio` [n], 16 kHz, behind that of the calls before."""
        ...

    def reset(self) -> None:
        """Forget the audio so far: what comes next does not follow it."""
        ...


class WakeGate:
    """Frames in, as many frames out, in which samples keep their numbers and times.

    Awake it lets them through. It falls asleep when nothing was `busy` for `awake_s`, and gives silence then,
    up to EARLY_MS late; the phrase wakes it.
    """

    def __init__(self, word: WakeWord, awake_s: float) -> None:
        self.busy = False  # a turn or a reply is going on
        self.asleep = True
        self._word = word
        self._most_idle = round(awake_s * RATE)
        self._idle = 0  # samples since something went on
        self._held: list[Frame] = []
        self._detected: int | None = None  # so many samples ago

    @property
    def phrase(self) -> str:
        """What the user has to say now; nothing if it is awake."""
        return self._word.phrase.text if self.asleep else ""

    def push(self, frame: Frame) -> Iterator[Frame]:
        """The frames that can be given now that `frame` was recorded."""
        if not self.asleep:
            yield frame
            self._rest(len(frame.audio))
            return
        self._held.append(frame)
        if self._detected is not None:
            self._detected += len(frame.audio)
        elif self._word.push(frame.audio):
            self._detected = 0
        if self.busy:  # a voice had begun when it fell asleep
            yield from self._wake(0)
        elif self._detected is None:
            yield from self._silence()
        elif self._detected >= self._word.phrase.latest_ms * RATE // 1000:
            yield from self._wake(self._end_of_phrase(self._detected))

    def _rest(self, count: int) -> None:
        self._idle = 0 if self.busy else self._idle + count
        if self._idle >= self._most_idle:
            self.asleep = True
            self._word.reset()

    def _silence(self) -> Iterator[Frame]:
        """What can no longer be behind the end of a phrase."""
        kept = sum(len(frame.audio) for frame in self._held)
        while self._held and kept - len(self._held[0].audio) >= -EARLY_MS * RATE // 1000:
            frame = self._held.pop(0)
            kept -= len(frame.audio)
            yield _silenced(frame, len(frame.audio))

    def _end_of_phrase(self, ago: int) -> int:
        """The sample of the held ones at which it was over, when it was detected `ago` samples ago."""
        audio = np.concatenate([frame.audio for frame in self._held])
        phrase, detected = self._word.phrase, len(audio) - ago
        first = max(0, detected + phrase.earliest_ms * RATE // 1000)
        last = max(first, min(detected + phrase.latest_ms * RATE // 1000, len(audio)) - _QUIET)
        starts = range(first, last + 1, _STEP)
        power = [float(np.square(audio[start : start + _QUIET]).sum()) for start in starts]
        return starts[int(np.argmin(power))] + _QUIET // 2

    def _wake(self, cut: int) -> Iterator[Frame]:
        """What is held, its first `cut` samples silent."""
        held, self._held = self._held, []
        self.asleep, self._detected, self._idle = False, None, 0
        for frame in held:
            yield _silenced(frame, min(cut, len(frame.audio)))
            cut = max(0, cut - len(frame.audio))


def _silenced(frame: Frame, count: int) -> Frame:
    """The frame with its first `count` samples silent, to the voice detector, too."""
    audio = frame.audio.copy()
    audio[:count] = 0
    detect = None if frame.detect is None else frame.detect.copy()
    if detect is not None:
        detect[:count] = 0
    return replace(frame, audio=audio, detect=detect)
