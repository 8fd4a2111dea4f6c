"""What source, sink and cancellers take of a core while the loudspeaker sounds, and nothing else runs."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from asr.audio import RATE
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.microphone.source import MicrophoneSource
from assistant.runtime import Clock

T = TypeVar("T")

_CHUNK = RATE // 5
_SETTLE_S = 3.0  # of sound, before it is measured


def share_of_core(speech: NDArray[np.float32], environment: Mapping[str, str]) -> float:
    """Processor time for a second in which `speech` [n], at 16 kHz, is played and the microphone is heard."""
    os.environ.update(environment)  # before PortAudio starts
    with native_messages_dropped(), ThreadPoolExecutor(1) as thread:
        return asyncio.run(_measure(speech, thread))


async def _measure(speech: NDArray[np.float32], thread: ThreadPoolExecutor) -> float:
    loop, clock = asyncio.get_running_loop(), Clock()

    def blocking(call: Callable[[], T]) -> Awaitable[T]:
        return loop.run_in_executor(thread, call)

    sink = SpeakerSink(clock)
    streams = Streams(await blocking(PortAudio), Wanted(), sink, clock, blocking, lambda _: None)
    await streams.open()
    source = MicrophoneSource(streams)

    async def listen() -> None:
        async for _ in source:
            pass

    listening = asyncio.create_task(listen(), name="listen")
    settle = int(_SETTLE_S * RATE)
    await _play(sink, speech[:settle])
    wall_s, cpu_s = time.monotonic(), time.process_time()
    await _play(sink, speech[settle:])
    share = (time.process_time() - cpu_s) / (time.monotonic() - wall_s)
    source.close()
    await listening
    await streams.close()
    return share


async def _play(sink: SpeakerSink, audio: NDArray[np.float32]) -> None:
    for at in range(0, len(audio), _CHUNK):
        await sink.write(audio[at : at + _CHUNK], RATE)
