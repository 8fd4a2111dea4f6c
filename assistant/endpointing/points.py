"""Silences with their labels: ends of turns, and pauses of some kind."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf

from asr.audio import RATE
from assistant.audio import Clip, read_clip, to_asr_rate
from assistant.endpointing.hear import Hearing, Silence
from assistant.trace.pauses import NO_PAUSE, kinds


@dataclass(frozen=True)
class Point:
    """A silence: the end of what is said, or a pause of `lasts_ms` up to the next window of voice."""

    silence: Silence
    lasts_ms: float = inf
    kind: str = NO_PAUSE
    """That of the first labelled pause that it overlaps."""

    @property
    def is_end(self) -> bool:
        """Whether nothing more is said."""
        return self.lasts_ms == inf


@dataclass(frozen=True)
class Turn:
    """A clip by its silences, up to the first at the end of it; samples at RATE."""

    text: str
    end_sample: int
    pauses: tuple[str, ...]
    """The kinds of all labelled pauses."""
    points: tuple[Point, ...]


def turn_of(clip: Clip, hearing: Hearing) -> Turn:
    """A labelled clip as a session would hear it; raises AudioError."""
    audio, rate = read_clip(clip)
    assert clip.reference is not None and clip.speech_end_sample is not None, "parts_of has looked at it"
    end_sample = clip.speech_end_sample * RATE // rate
    pauses = [
        (start * RATE // rate, end * RATE // rate, kind)
        for (start, end), kind in zip(clip.pauses, kinds(clip), strict=True)
    ]
    silences = hearing.silences(to_asr_rate(audio, rate))
    points = tuple(labelled(silences, end_sample, pauses))
    return Turn(clip.reference, end_sample, kinds(clip), points)


def labelled(
    silences: Iterable[Silence], end_sample: int, pauses: Sequence[tuple[int, int, str]]
) -> Iterator[Point]:
    """The points up to the first behind which the speaker, done at `end_sample`, says nothing more.

    `pauses` are [start, end) with their kinds.
    """
    for silence in silences:
        if silence.resumed is None or silence.resumed >= end_sample:
            yield Point(silence)
            return
        begun, resumed = silence.voice_end, silence.resumed
        overlapped = [kind for start, end, kind in pauses if begun < end and start < resumed]
        lasts_ms = (resumed - begun) * 1000 / RATE
        yield Point(silence, lasts_ms, overlapped[0] if overlapped else NO_PAUSE)
