"""Conversations in a simulated room: replies, and users who speak over them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.audio import Clip, read_clip, to_asr_rate
from assistant.microphone.bench.rooms import USER_DBFS, Room, active_rms, echo, noise
from assistant.microphone.devices.timeline import Timeline
from assistant.microphone.echo.reference import Reference

Array = NDArray[np.float32]

REPLY_DBFS = -20.0
STOPS_AFTER_S = 0.6
"""Of the user's first word: the reply falls silent then, whatever a canceller makes of it, so that the words
of all of them are compared."""
_GAP_S = 1.5
_AHEAD = RATE // 5  # samples that the loudspeaker was given before they sound
_SCATTER_OUT_S, _SCATTER_IN_S = 0.0001, 0.0009  # of the stated times, as measured through PortAudio


@dataclass(frozen=True)
class Barge:
    """A user over a reply; samples of the microphone."""

    text: str
    clip_start: int
    voice_start: int
    clip_end: int


@dataclass(frozen=True)
class Scene:
    """A conversation: all signals [n] at 16 kHz, and where the replies sound in them."""

    room: Room
    microphone: Array
    played: Array
    echo: Array
    replies: tuple[tuple[int, int], ...]
    barges: tuple[Barge | None, ...]  # one for each reply


def scene(room: Room, replies: Sequence[Array], clips: Sequence[Clip | None]) -> Scene:
    """The replies one after the other; over each that has one, its clip, one to three seconds into it."""
    random = np.random.default_rng(room.seed + 1000)
    played, user = [np.zeros(RATE, np.float32)], [np.zeros(RATE, np.float32)]
    spans: list[tuple[int, int]] = []
    barges: list[Barge | None] = []
    at = RATE
    for reply, clip in zip(replies, clips, strict=True):
        reply = reply * np.float32(10 ** (REPLY_DBFS / 20) / active_rms(reply))
        said = np.zeros(0, np.float32)
        barge = None
        if clip is not None:
            said, first = _spoken(clip)
            begin = int(random.uniform(1.0, 3.0) * RATE)
            barge = Barge(clip.reference or "", at + begin, at + begin + first, at + begin + len(said))
            reply = _stopped(reply, begin + first + int(STOPS_AFTER_S * RATE))
            said = np.concatenate([np.zeros(begin, np.float32), said])
        length = max(len(reply), len(said)) + int(_GAP_S * RATE)
        played.append(np.pad(reply, (0, length - len(reply))))
        user.append(np.pad(said, (0, length - len(said))))
        spans.append((at, at + len(reply)))
        barges.append(barge)
        at += length
    sound = np.concatenate(played)
    heard = echo(sound, room)
    microphone = heard + np.concatenate(user) + noise(len(sound), room.seed)
    return Scene(room, microphone.clip(-1, 1), sound, heard, tuple(spans), tuple(barges))


def _spoken(clip: Clip) -> tuple[Array, int]:
    """A clip at the user's level, cut after its speech, and its first voiced sample."""
    audio, rate = read_clip(clip)
    start, end = (
        round((edge or 0) * RATE / rate) for edge in (clip.speech_start_sample, clip.speech_end_sample)
    )
    audio = to_asr_rate(audio, rate)
    begin = max(0, start - RATE // 20)
    audio = audio[begin : end + RATE // 10]
    return audio * np.float32(10 ** (USER_DBFS / 20) / active_rms(audio)), start - begin


def _stopped(reply: Array, at: int) -> Array:
    """The reply until `at`, faded out over 5 ms."""
    reply = reply[:at].copy()
    fade = min(len(reply), RATE // 200)
    reply[len(reply) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return reply


class Placed:
    """The reference as a live front end places it: by stated times that scatter, and the drift it is told."""

    def __init__(self, scene: Scene) -> None:
        self._played, self._drift = scene.played, scene.room.drift_ppm
        self._random = np.random.default_rng(scene.room.seed + 2000)
        self._reference, self._out, self._in = Reference(), Timeline(RATE), Timeline(RATE)
        self._reference.push(self._played[:_AHEAD])
        self._at = 0

    def read(self, count: int, drift_ppm: float = 0.0) -> Array:
        """Of the microphone's next samples, [count]."""
        out_s, in_s = self._random.normal(0, (_SCATTER_OUT_S, _SCATTER_IN_S))
        seconds = self._at / RATE
        self._out.note(self._at, round((seconds + out_s) * 1e9))
        self._in.note(self._at, round((seconds * (1 + self._drift * 1e-6) + in_s) * 1e9))
        sample = self._out.sample_at(self._in.at_ns(self._at))
        read = self._reference.read(sample, count, drift_ppm)
        self._reference.push(self._played[self._at + _AHEAD : self._at + _AHEAD + count])
        self._at += count
        return read
