"""When rivals end the turns in a clip, from what the voice detector says of its windows; pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from asr.audio import RATE
from asr.vad import WINDOW

WINDOW_MS = WINDOW * 1000 // RATE
_ON, _OFF = 0.5, 0.35  # probability of voice, as of `[turn] voice_on` and `voice_off`
_SURE = 2  # windows that begin voice, and after which silence is no gap in it

# Smart Turn by Pipecat's defaults: base_smart_turn.py, turn_analyzer_user_turn_stop_strategy.py.
_STOP_WINDOWS = round(200 / WINDOW_MS)  # VAD stop_secs 0.2
_FALLBACK_WINDOWS = _STOP_WINDOWS + ceil(3000 / WINDOW_MS)  # stop_secs 3, counted from when the VAD stopped
_BEFORE_SAMPLES = RATE // 2  # pre_speech_ms 500
_COMPLETE = 0.5


@dataclass(frozen=True)
class Heard:
    """A window from the first voice on: its number, that of the last voiced one, and whether it is voiced."""

    number: int
    voice_end: int
    voiced: bool

    @property
    def silent(self) -> int:
        """How many windows the silence lasts."""
        return self.number - self.voice_end

    @property
    def end_sample(self) -> int:
        """The end of the window, at 16 kHz."""
        return (self.number + 1) * WINDOW


def heard(voices: Sequence[float]) -> Iterator[Heard]:
    """The windows of a clip, given the probability that each is voiced.

    Voice begins with two windows in a row that are surely voiced. It goes on at less, until two are not. A
    window with which it may begin again is left out: nothing is decided there.
    """
    voice_end, run = None, 0
    for number, voice in enumerate(voices):
        run = run + 1 if voice >= _ON else 0
        goes_on = voice_end is not None and number - voice_end <= _SURE and voice >= _OFF
        if goes_on or run >= _SURE:
            voice_end = number
        if voice_end == number or (voice_end is not None and not run):
            yield Heard(number, voice_end, voice_end == number)


def by_silence(voices: Sequence[float], silence_ms: int) -> list[int]:
    """Where each turn ends, in samples at 16 kHz, if so much silence ends it."""
    least = ceil(silence_ms / WINDOW_MS)
    return _ends(voices, lambda window, _: window.silent >= least)


def by_smart_turn(voices: Sequence[float], complete: Callable[[int, int], float]) -> list[int]:
    """Where each turn ends, in samples at 16 kHz, with Smart Turn as Pipecat uses it.

    At each 0.2 s of silence `complete` gives the probability that the turn from one sample to another is
    complete: above 0.5 it ends, else after 3 s more without voice. What was before the last end of a turn is
    not in it, nor what was more than half a second before its voice.
    """
    last_end, asked_behind = 0, None  # the last window of the voice behind which it was asked

    def is_over(window: Heard, begun: int) -> bool:
        nonlocal last_end, asked_behind
        over = window.silent >= _FALLBACK_WINDOWS
        if window.silent >= _STOP_WINDOWS and asked_behind != window.voice_end:
            asked_behind, start = window.voice_end, max(last_end, begun * WINDOW - _BEFORE_SAMPLES)
            over = complete(start, window.end_sample) > _COMPLETE
        if over:
            last_end = window.end_sample
        return over

    return _ends(voices, is_over)


def _ends(voices: Sequence[float], is_over: Callable[[Heard, int], bool]) -> list[int]:
    """The end of each window at which `is_over`, which is given the first voiced window of the turn, too."""
    ends, begun = [], None
    for window in heard(voices):
        if window.voiced and begun is None:
            begun = window.number + 1 - _SURE
        if begun is not None and is_over(window, begun):
            ends.append(window.end_sample)
            begun = None
    return ends
