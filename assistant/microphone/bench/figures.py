"""What an arm made of a scene: echo that is left, interruptions, barge-ins heard, and their words."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from asr.eval.score import WordErrors, word_errors
from asr.recognizer import Recognizer
from asr.vad import WINDOW, Vad
from assistant.microphone.bench.scenes import Scene
from assistant.session.turn import Replying, Stop, TurnConfig, Window
from assistant.session.turn_table import step

Array = NDArray[np.float32]

BARGE_IN_MS = 128
_HOLD = RATE * 3 // 10  # samples after a reply in which the barge-in rule still holds
_BEFORE = RATE * 3 // 10  # samples before a user's first word that the recognizer hears


@dataclass(frozen=True)
class Detection:
    """Of one reply: the samples at which the turn machine stopped it, and its barge-in."""

    stops: tuple[int, ...]
    self_stops: tuple[int, ...]
    """Those before anyone spoke."""
    barge_ms: float | None
    """From the user's first voiced sample to the next stop. None without a user; infinite without a stop, or
    where the reply had stopped before the user spoke."""


def voice(vad: Vad, detect: Array) -> NDArray[np.float64]:
    """The probability of voice in each window of a signal."""
    vad.reset()
    whole = range(0, len(detect) // WINDOW * WINDOW, WINDOW)
    return np.array([vad.probability(detect[at : at + WINDOW]) for at in whole])


def detections(scene: Scene, probabilities: NDArray[np.float64]) -> list[Detection]:
    """What the project's own turn machine does at each reply; after a stop it listens for the next."""
    found = []
    for (start, end), barge in zip(scene.replies, scene.barges, strict=True):
        stops = _stops(probabilities, start, max(end + _HOLD, barge.clip_end if barge else 0))
        first = barge.voice_start if barge else end + _HOLD + 1
        heard = next(((stop - first) * 1000 / RATE for stop in stops if stop > first), float("inf"))
        before = tuple(stop for stop in stops if stop <= first)
        heard = float("inf") if before else heard
        found.append(Detection(stops, before, heard if barge else None))
    return found


def _stops(probabilities: NDArray[np.float64], start: int, end: int) -> tuple[int, ...]:
    config = TurnConfig(barge_in_ms=BARGE_IN_MS, reversible=False)
    replying = state = Replying(1, None, 0, heard_sample=0)
    stops = []
    for number in range(start // WINDOW, min(len(probabilities), end // WINDOW + 1)):
        window = Window((number + 1) * WINDOW, float(probabilities[number]))
        after, commands = step(state, window, config)
        if any(isinstance(command, Stop) for command in commands):
            stops.append(window.end_sample)
            after = replying
        assert isinstance(after, Replying)
        state = after
    return tuple(stops)


def erle(scene: Scene, cleaned: Array) -> list[tuple[float, float]]:
    """Of each reply without a user: dB of echo taken out in its first second, and after it."""
    found = []
    for (start, end), barge in zip(scene.replies, scene.barges, strict=True):
        if barge is None:
            begin = start + round(scene.room.delay_ms * RATE / 1000)
            found.append(
                (_erle(scene, cleaned, begin, begin + RATE), _erle(scene, cleaned, begin + RATE, end))
            )
    return found


def _erle(scene: Scene, cleaned: Array, start: int, end: int) -> float:
    powers = [float((s[start:end].astype(np.float64) ** 2).mean()) for s in (scene.microphone, cleaned)]
    return 10 * float(np.log10(powers[0] / max(powers[1], 1e-14)))


def words(scene: Scene, recognizer: Recognizer, listen: Array) -> list[WordErrors]:
    """Errors in the words of each barge-in."""
    found = []
    for barge in scene.barges:
        if barge is not None:
            audio = listen[max(0, barge.voice_start - _BEFORE) : barge.clip_end + _BEFORE]
            found.append(word_errors(barge.text, recognizer.transcribe(np.ascontiguousarray(audio)).text))
    return found
