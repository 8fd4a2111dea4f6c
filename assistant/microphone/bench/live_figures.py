"""What a recording of a live room shows: where the loudspeaker sounded, and where it fell silent."""

from collections.abc import Sequence
from dataclasses import dataclass
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

_LOUD = 10 ** (-50 / 20)  # what is quieter counts as silence
_HANG_S = 0.4  # of silence end a stretch of sound; pauses between words do not
_LAST_WORDS = 4


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
    """Each clip that was said; it was answered with one of `replies`."""
    speaker, rate = soundfile.read(recorded.folder / "speaker.wav", dtype="float32")
    sound = stretches(speaker, rate)
    clips = [event for event in recorded.events() if event["event"] == "user_clip"]
    stops = _stops(recorded)
    found = []
    ends = [clip["speech_start_s"] for clip in clips[1:]] + [len(speaker) / rate]
    for clip, said, until in zip(clips, recorded.said, ends, strict=False):
        start, end = clip["speech_start_s"], clip["speech_end_s"]
        own = [piece for piece in sound if end < piece[0] < until]
        before = [piece for piece in sound if piece[0] < start < piece[1]]
        turn = Turn(said.clip.reference or "", start, end, bool(before))
        if before:
            stopped = [time for time in stops if start < time < start + 3]
            turn = _replaced(
                turn,
                silent_ms=(before[0][1] - start) * 1000,
                decided_ms=(stopped[0] - start) * 1000 if stopped else None,
            )
        if own:
            first, last = own[0][0], own[-1][1]
            gaps = [later[0] - earlier[1] for earlier, later in pairwise(own)]
            turn = _replaced(
                turn,
                answered_ms=(first - end) * 1000,
                reply_s=last - first,
                longest_gap_s=max(gaps, default=0.0),
            )
            if recognizer is not None and replies:
                played = speaker[round(first * rate) : round(min(last + 0.1, len(speaker) / rate) * rate)]
                heard = recognizer.transcribe(to_asr_rate(played, rate)).text
                tail = normalize(heard).split()[-2 * _LAST_WORDS :]
                words = max(sum(word in tail for word in _last_words(reply)) for reply in replies)
                turn = _replaced(turn, last_words_heard=words, heard=heard)
        found.append(turn)
    return found


def _last_words(reply: str) -> list[str]:
    return normalize(reply).split()[-_LAST_WORDS:]


def _replaced(turn: Turn, **more: Any) -> Turn:  # noqa: ANN401  # fields of different types
    return Turn(**{**turn.__dict__, **more})


def stretches(audio: Array, rate: int) -> list[tuple[float, float]]:
    """Where `audio` [n] sounds, [start, end) in seconds; silence of less than 0.4 s is part of it."""
    loud = np.flatnonzero(np.abs(audio) > _LOUD)
    if not loud.size:
        return []
    cuts = np.flatnonzero(np.diff(loud) > _HANG_S * rate)
    starts, ends = np.concatenate([[0], cuts + 1]), np.concatenate([cuts, [len(loud) - 1]])
    return [(loud[a] / rate, (loud[b] + 1) / rate) for a, b in zip(starts, ends, strict=True)]


def _stops(recorded: Recorded) -> list[float]:
    """When the program stopped a reply, in the room's seconds."""
    clock = [
        (event["monotonic_ns"] / 1e9, event["t"])
        for event in recorded.events()
        if event["event"] == "user_clip"
    ]
    offset = float(np.median([room - mono for mono, room in clock])) if clock else 0.0
    return [line["monotonic_ns"] / 1e9 + offset for line in recorded.log() if line["event"] == "stop"]


def transcripts(recorded: Recorded) -> list[str]:
    """What the program understood, turn by turn."""
    return [turn["transcript"] for turn in recorded.talk()["turns"]]


def paired(said: Sequence[str], understood: Sequence[str]) -> tuple[list[WordErrors], list[str]]:
    """Errors of each clip against its own transcripts, in order, and the transcripts that are nobody's.

    The pairing is the one with the fewest word errors in all; a clip may have been cut into two turns.
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
                options.append((cost + extra + 0.01, pairs, (*free, column - 1)))
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
