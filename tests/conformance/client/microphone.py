"""A microphone that speaks recordings in real time, and a measure of what can be heard."""

import asyncio
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from session import Session

CHUNK_MS = 40
QUIET = 500  # of 32767; below it a sample is not heard


class Microphone:
    """Sends audio in real time: what is said, else silence."""

    def __init__(self, session: Session, bytes_per_s: int, silence: bytes) -> None:
        self._session, self._silence = session, silence
        self._size = bytes_per_s * CHUNK_MS // 1000
        self._said = bytearray()

    def say(self, audio: bytes) -> None:
        """Say it from now on."""
        self._said += audio

    async def run(self) -> None:
        """Send until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            chunk = bytes(self._said[: self._size])
            del self._said[: self._size]
            await self._session.push(
                chunk + self._silence * ((self._size - len(chunk)) // len(self._silence))
            )
            due += CHUNK_MS / 1000
            await asyncio.sleep(due - loop.time())


@asynccontextmanager
async def microphone(session: Session, *, pcmu: bool = False) -> AsyncIterator[Microphone]:
    """A microphone that is open; it says nothing yet."""
    mic = Microphone(session, 8000, b"\xff") if pcmu else Microphone(session, 48000, b"\0\0")
    task = asyncio.create_task(mic.run(), name="microphone")
    try:
        yield mic
    finally:
        task.cancel()
        await asyncio.wait([task])


def heard_s(audio: bytes, *, pcmu: bool = False) -> float:
    """Seconds of the audio that are loud enough to be heard."""
    if pcmu:
        return sum(abs(_expand(code)) > QUIET for code in audio) / 8000
    return sum(abs(sample) > QUIET for sample in array("h", bytes(audio))) / 24000


def _expand(code: int) -> int:
    """One byte of G.711 mu-law as a 16-bit sample."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 132 << ((code & 0x70) >> 4)) - 132
    return -magnitude if code & 0x80 else magnitude
