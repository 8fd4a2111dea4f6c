"""When turns would end by the log-odds of their points, without running a session."""

from collections.abc import Sequence

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.endpointing.points import Turn
from assistant.session.completeness import DOUBTFUL, by_silence
from assistant.session.turn import TurnConfig
from assistant.trace.pauses import NO_PAUSE
from assistant.trace.tune.outcome import Outcome

WORDS_MS, READING_MS = 150, 180
"""Silence after which the words are taken to be known, and what the language model makes of them.

Assumptions: it depends on the machine."""
_WINDOW_MS = WINDOW * 1000 // RATE


def outcome_of(turn: Turn, log_odds: Sequence[tuple[float, float]], config: TurnConfig) -> Outcome:
    """What would come of `turn`, whose points have these log-odds by words, and by words and reading.

    The wait is that for the decision.
    """
    reached: list[str] = []
    for point, (words, read) in zip(turn.points, log_odds, strict=True):
        decided_ms = decision_ms(words, read, config)
        if point.is_end:
            wait_ms = (point.silence.voice_end - turn.end_sample) * 1000 / RATE + decided_ms
            return Outcome(turn.text, wait_ms, False, None, (*reached, NO_PAUSE), turn.pauses)
        reached.append(point.kind)
        if decided_ms < point.lasts_ms + _WINDOW_MS:  # in the first window of voice nothing is decided
            return Outcome(turn.text, None, True, point.kind, tuple(reached), turn.pauses)
    return Outcome(turn.text, None, False, None, tuple(reached), turn.pauses)


def decision_ms(words: float, read: float, config: TurnConfig) -> int:
    """The silence after which the turn machine ends a turn with these log-odds, if it goes on so long."""
    if config.detection == "silence":
        return -(-config.silence_ms // _WINDOW_MS) * _WINDOW_MS
    windows = range(_WINDOW_MS, config.max_silence_ms + _WINDOW_MS, _WINDOW_MS)
    events: list[int] = sorted({*windows, WORDS_MS, READING_MS})
    for now_ms in events:
        silence_ms = now_ms - now_ms % _WINDOW_MS
        if silence_ms >= config.max_silence_ms:
            return now_ms
        if now_ms < WORDS_MS or silence_ms < config.min_silence_ms:
            continue
        scored = read if words < DOUBTFUL and now_ms >= READING_MS else words
        if scored + by_silence(silence_ms) >= config.threshold:
            return now_ms
    raise AssertionError("the last window is beyond max_silence_ms")
