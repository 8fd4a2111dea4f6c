"""What a recording of a live room shows: where the loudspeaker sounded, and where it fell silent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.eval.normalize import normalize
from asr.eval.score import WordErrors, word_errors
from asr.recognizer import Recognizer
from assistant.audio import to_asr_rate
from assistant.microphone.bench.live_room import Recorded

Array = NDArray[np.float32]
Span = tuple[float, float]
"""[start, end) in seconds of the room."""

_LOUD = 10 ** (-50 / 20)  # what is quieter counts as silence
_HANG_S = 0.4  # of silence end a stretch of sound; pauses between words do not
_LAST_WORDS = 4
_BEHIND_S = 0.1  # the recognizer is given of the silence behind a reply
_STOPPED_WITHIN_S = 3.0  # of the user's first voiced sample; a later stop is another's
_FREE_LESS = (
    0.5  # of an error, so that a tie between insertions and a transcript of nobody's goes to nobody's
)


@dataclass(frozen=True)
class Turn:
    """What came of one clip, by the recording; times in seconds of the room."""

    said: str
    start_s: float
    """Of the user's first voiced sample."""
    end_s: float
    """Of the last."""
    over_reply: bool
    """Whether the loudspeaker sounded when the user began."""
    silent_ms: float | None = None
    """From the user's first voiced sample until the loudspeaker fell silent, if it sounded."""
    decided_ms: float | None = None
    """Until the program stopped the reply, by its log."""
    answered_ms: float | None = None
    """From the user's last voiced sample to the first audible one of the reply; None without a reply."""
    reply_s: float = 0.0
    """From the first audible sample of the reply to its last."""
    longest_gap_s: float = 0.0
    """Silence inside of the reply."""
    last_words_heard: int = 0
    """Of the last four of the reply that was given, in what the loudspeaker played."""
    heard: str = ""
    """What a recognizer understands of what the loudspeaker played."""


def turns(recorded: Recorded, replies: Sequence[str], recognizer: Recognizer | None = None) -> list[Turn]:
    """Each clip that was said; it was answered with one of `replies`.

    What sounds from the end of a clip until the next one begins is its reply. `recognizer` transcribes it.
    """
    speaker, rate = soundfile.read(recorded.folder / "speaker.wav", dtype="float32")
    sounds, stops, clips = stretches(speaker, rate), _stops(recorded), _clips(recorded)
    next_s = [clip["speech_start_s"] for clip in clips[1:]] + [len(speaker) / rate]
    found = []
    for clip, said, until_s in zip(clips, recorded.said, next_s, strict=False):
        turn = _begun(said.clip.reference or "", clip, sounds, stops)
        reply = [span for span in sounds if turn.end_s < span[0] < until_s]
        if reply:
            turn = _answered(turn, reply)
        if reply and replies and recognizer is not None:
            turn = _understood(turn, _between(speaker, rate, reply), replies, recognizer)
        found.append(turn)
    return found


def _begun(said: str, clip: Mapping[str, Any], sounds: Sequence[Span], stops: Sequence[float]) -> Turn:
    """The turn up to its reply: what it did to the reply before."""
    start_s, end_s = clip["speech_start_s"], clip["speech_end_s"]
    turn = Turn(said, start_s, end_s, over_reply=False)
    silent_s = next((end for start, end in sounds if start < start_s < end), None)
    if silent_s is None:
        return turn
    stop_s = next((stop for stop in stops if start_s < stop < start_s + _STOPPED_WITHIN_S), None)
    return replace(
        turn,
        over_reply=True,
        silent_ms=(silent_s - start_s) * 1000,
        decided_ms=None if stop_s is None else (stop_s - start_s) * 1000,
    )


def _answered(turn: Turn, reply: Sequence[Span]) -> Turn:
    """The turn with what sounded behind it."""
    first_s, last_s = reply[0][0], reply[-1][1]
    gaps_s = [later[0] - earlier[1] for earlier, later in pairwise(reply)]
    return replace(
        turn,
        answered_ms=(first_s - turn.end_s) * 1000,
        reply_s=last_s - first_s,
        longest_gap_s=max(gaps_s, default=0.0),
    )


def _between(speaker: Array, rate: int, reply: Sequence[Span]) -> Array:
    """The recording from the reply's first audible sample to 0.1 s behind its last, at 16 kHz."""
    first, last = round(reply[0][0] * rate), round((reply[-1][1] + _BEHIND_S) * rate)
    return to_asr_rate(speaker[first:last], rate)


def _understood(turn: Turn, played: Array, replies: Sequence[str], recognizer: Recognizer) -> Turn:
    """The turn with the words of its reply, of `played` at 16 kHz."""
    heard = recognizer.transcribe(played).text
    tail = normalize(heard).split()[-2 * _LAST_WORDS :]
    words = max(sum(word in tail for word in _last_words(reply)) for reply in replies)
    return replace(turn, last_words_heard=words, heard=heard)


def _last_words(reply: str) -> list[str]:
    return normalize(reply).split()[-_LAST_WORDS:]


def stretches(audio: Array, rate: int) -> list[Span]:
    """Where `audio` [n] sounds, [start, end) in seconds; silence of less than 0.4 s is part of it."""
    loud = np.flatnonzero(np.abs(audio) > _LOUD)
    if not loud.size:
        return []
    cuts = np.flatnonzero(np.diff(loud) > _HANG_S * rate)
    starts, ends = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(loud) - 1]])
    return [(loud[a] / rate, (loud[b] + 1) / rate) for a, b in zip(starts, ends, strict=True)]


def _clips(recorded: Recorded) -> list[dict[str, Any]]:
    """The room's event of each clip."""
    return [event for event in recorded.events() if event["event"] == "user_clip"]


def _stops(recorded: Recorded) -> list[float]:
    """When the program stopped a reply, in the room's seconds."""
    offsets_s = [clip["t"] - clip["monotonic_ns"] / 1e9 for clip in _clips(recorded)]
    offset_s = float(np.median(offsets_s)) if offsets_s else 0.0
    return [line["monotonic_ns"] / 1e9 + offset_s for line in recorded.log() if line["event"] == "stop"]


def transcripts(recorded: Recorded) -> list[str]:
    """What the program understood, turn by turn."""
    return [turn["transcript"] for turn in recorded.talk()["turns"]]


def paired(said: Sequence[str], understood: Sequence[str]) -> tuple[list[WordErrors], list[str]]:
    """Errors of each clip against its own transcripts, in order, and the transcripts that are nobody's.

    The pairing is the one with the fewest word errors in all; a clip may have been cut into two turns. A
    transcript that would only be insertions of a clip is nobody's.
    """
    rows, columns = len(said), len(understood)
    best: dict[tuple[int, int], tuple[float, tuple[tuple[int, int, int], ...], tuple[int, ...]]] = {}
    best[0, 0] = (0.0, (), ())
    for row in range(rows + 1):
        for column in range(columns + 1):
            options = []
            if column and (row, column - 1) in best:
                cost, pairs, free = best[row, column - 1]
                extra = len(normalize(understood[column - 1]).split())
                options.append((cost + extra - _FREE_LESS, pairs, (*free, column - 1)))
            for count in (0, 1, 2):
                if row and column >= count and (row - 1, column - count) in best:
                    cost, pairs, free = best[row - 1, column - count]
                    wrong = _errors(said[row - 1], understood[column - count : column])
                    pair = (row - 1, column - count, column)
                    options.append((cost + wrong + 0.001 * count, (*pairs, pair), free))
            if options:
                best[row, column] = min(options)
    _, pairs, free = best[rows, columns]
    errors = [word_errors(said[row], " ".join(understood[start:end])) for row, start, end in pairs]
    return errors, [understood[column] for column in free]


def _errors(said: str, understood: Sequence[str]) -> int:
    found = word_errors(said, " ".join(understood))
    return found.substitutions + found.insertions + found.deletions
