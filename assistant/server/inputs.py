"""A client's audio and requests, in the order in which they came, as a session takes them."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from asr.audio import RATE
from assistant.audio import FRAME_MS
from assistant.runtime import Clock
from assistant.server.formats import AudioFormat, Incoming
from assistant.session.ring import Frame
from assistant.session.session import Input
from assistant.session.turn import AudioCleared, AudioCommitted, External

_FRAME = RATE * FRAME_MS // 1000


class TooFast(Exception):  # noqa: N818  # a condition with a name of its own
    """Audio comes so much faster than one can speak that no more of it is kept."""


class Inputs:
    """An asynchronous iterator of what came in. However audio is cut, it comes out in frames of 20 ms."""

    def __init__(self, clock: Clock, audio_format: AudioFormat, ahead_s: float) -> None:
        """Audio may be `ahead_s` ahead of the clock."""
        self._clock, self._ahead_s = clock, ahead_s
        self._incoming = Incoming(audio_format)
        self._queue: asyncio.Queue[Input | None] = asyncio.Queue()  # bounded by `ahead_s`
        self._rest = np.zeros(0, np.float32)
        self._end = 0  # sample behind the last frame
        self._begin = 0  # where the buffer of the client begins
        self._spoken_until_ns = 0  # by the clock, had it been said as it came

    def change_format(self, audio_format: AudioFormat) -> None:
        """What comes from now on is in `audio_format`."""
        if audio_format != self._incoming.audio_format:
            self._take(self._incoming.flush())
            self._incoming = Incoming(audio_format)

    def append(self, data: bytes) -> None:
        """More audio, whole samples of it; raises TooFast, and keeps nothing of it then."""
        now_ns = self._clock.now_ns()
        audio_format = self._incoming.audio_format
        duration_ns = audio_format.samples(len(data)) * 1_000_000_000 // audio_format.rate
        until_ns = max(now_ns, self._spoken_until_ns) + duration_ns
        if until_ns - now_ns > self._ahead_s * 1e9:
            raise TooFast(f"audio is more than {self._ahead_s:g} s ahead of the clock")
        self._spoken_until_ns = until_ns
        self._take(self._incoming.push(data))

    def commit(self) -> None:
        """What is in the buffer is a turn."""
        self._take(self._incoming.flush())
        self._send_frame(self._rest)
        self._rest = self._rest[:0]
        self.put(AudioCommitted(self._begin, self._end))
        self._begin = self._end

    def clear(self) -> None:
        """What is in the buffer is none."""
        self._incoming.flush()
        self._rest = self._rest[:0]
        self.put(AudioCleared())
        self._begin = self._end

    def turn_ended(self, sample: int) -> None:
        """A turn ended at `sample`: no more than what is behind it is in the buffer."""
        self._begin = max(self._begin, sample)

    def put(self, event: External) -> None:
        """Something that the client asks for, behind the audio that came before."""
        self._queue.put_nowait(event)

    def close(self) -> None:
        """Nothing more comes."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Input]:
        while (item := await self._queue.get()) is not None:
            yield item

    def _take(self, audio: np.typing.NDArray[np.float32]) -> None:
        audio = np.concatenate([self._rest, audio])
        whole = len(audio) - len(audio) % _FRAME
        for at in range(0, whole, _FRAME):
            self._send_frame(audio[at : at + _FRAME])
        self._rest = audio[whole:]

    def _send_frame(self, audio: np.typing.NDArray[np.float32]) -> None:
        if len(audio):
            self._end += len(audio)
            self._queue.put_nowait(Frame(audio, self._clock.now_ns()))
