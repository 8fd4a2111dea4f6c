"""When turns would end by the log-odds of their points, without running a session."""

from collections.abc import Sequence

from asr.audio import RATE
from asr.vad import WINDOW
from assistant.endpointing.points import Turn
from assistant.session.completeness import DOUBTFUL, by_silence
from assistant.session.turn import Pausing, Read, Score, TurnConfig
from assistant.session.turn_table import step
from assistant.trace.pauses import NO_PAUSE
from assistant.trace.tune.outcome import Outcome

WORDS_MS, READING_MS, SOUND_MS = 150, 180, 290
"""Silence after which the words are taken to be known, what the language model makes of them, and the sound.

Assumptions: it depends on the machine."""
Scores = tuple[float, float, float]
"""Log-odds of a point by its words, when they were read, and when its sound is known, too."""
_WINDOW_MS = WINDOW * 1000 // RATE


def outcome_of(turn: Turn, log_odds: Sequence[Scores], config: TurnConfig) -> Outcome:
    """What would come of `turn`, whose points have these log-odds.

    The wait is that for the decision.
    """
    reached: list[str] = []
    for point, scores in zip(turn.points, log_odds, strict=True):
        decided_ms = decision_ms(scores, config)
        if point.is_end:
            wait_ms = (point.silence.voice_end - turn.end_sample) * 1000 / RATE + decided_ms
            return Outcome(turn.text, wait_ms, False, None, (*reached, NO_PAUSE), turn.pauses)
        reached.append(point.kind)
        if decided_ms < point.lasts_ms + _WINDOW_MS:  # in the first window of voice nothing is decided
            return Outcome(turn.text, None, True, point.kind, tuple(reached), turn.pauses)
    return Outcome(turn.text, None, False, None, tuple(reached), turn.pauses)


def decision_ms(scores: Scores, config: TurnConfig) -> int:
    """The silence after which the turn machine ends a turn with these log-odds, if it goes on so long."""
    if config.detection == "silence":
        return -(-config.silence_ms // _WINDOW_MS) * _WINDOW_MS
    windows = range(_WINDOW_MS, config.max_silence_ms + _WINDOW_MS, _WINDOW_MS)
    events: list[int] = sorted({*windows, WORDS_MS, READING_MS, SOUND_MS})
    for now_ms in events:
        silence_ms = now_ms - now_ms % _WINDOW_MS
        if silence_ms >= config.max_silence_ms:
            return now_ms
        if now_ms < WORDS_MS or silence_ms < config.min_silence_ms:
            continue
        scored = _known(scores, now_ms, config)
        if scored + by_silence(silence_ms) >= config.threshold:
            return now_ms
    raise AssertionError("the last window is beyond max_silence_ms")


def _known(scores: Scores, now_ms: int, config: TurnConfig) -> float:
    """The last of the log-odds that are asked for and there."""
    words, read, heard = scores
    if words >= DOUBTFUL or now_ms < READING_MS:
        return words
    return heard if now_ms >= SOUND_MS and _asks_for_sound(read, config) else read


def _asks_for_sound(read: float, config: TurnConfig) -> bool:
    """Whether the turn machine does, at the beginning of a silence."""
    _, commands = step(Pausing(1, 0, 0, 0, 0), Read(0, read), config)
    return any(isinstance(command, Score) for command in commands)
