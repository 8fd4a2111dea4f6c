"""`assistant doctor --loopback`: loudspeaker, air and microphone, measured with what is played."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import typer

from assistant.commands.say import speak_text
from assistant.config import Config, read_config
from assistant.doctor.doctor import print_checks
from assistant.microphone.devices.choice import label
from assistant.microphone.devices.port import Audio
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.microphone.echo.canceller import open_canceller
from assistant.microphone.loopback.advice import advise
from assistant.microphone.loopback.measure import measure
from assistant.microphone.loopback.record import record
from assistant.microphone.loopback.signals import programme, shaped_noise
from assistant.microphone.loopback.take import Take
from assistant.models.speech import load_speaker, locate_voice
from assistant.models.store import ModelStore, ModelStoreError
from assistant.runtime import Clock
from tts.errors import TtsError

SECONDS = 10.0
_RATE = 24000
_TEXT = (
    "This is what a reply sounds like. Please keep quiet while I speak, so that only I am heard. "
    "The microphone listens to the loudspeaker now, and what it hears is taken out again, sample by sample."
)

T = TypeVar("T")


def run_loopback(input: str | None, output: str | None, seconds: float | None, path: Path | None) -> None:  # noqa: A002
    """Play, record, print what was found; exit 1 if anything is to be changed. Raises DeviceError."""
    config = read_config(path)
    wanted = Wanted(
        input or config.microphone.input,
        output or config.microphone.output,
        config.microphone.latency_ms / 1000,
    )
    reply, rate = _reply(config, seconds or SECONDS)
    with native_messages_dropped(), ThreadPoolExecutor(1, "portaudio") as thread:
        take = asyncio.run(_record(wanted, programme(reply, rate), rate, thread))
    checks = advise(take, measure(take, open_canceller))
    print_checks(checks)
    if any(one.state != "ok" for one in checks):
        raise typer.Exit(1)


def _reply(config: Config, seconds: float) -> tuple[Audio, int]:
    """So many seconds of the assistant's voice, or of noise like it where that cannot be loaded; its rate."""
    try:
        speaker = load_speaker(config.tts, locate_voice(config.tts, ModelStore()))
    except (TtsError, ModelStoreError) as error:
        typer.echo(f"{error}: noise is played in place of the voice")
        return shaped_noise(seconds, _RATE), _RATE
    chunks = list(speak_text(speaker, _TEXT))
    rate = chunks[0].sample_rate
    spoken = np.concatenate([chunk.audio for chunk in chunks])
    return np.resize(spoken, round(seconds * rate)), rate


async def _record(wanted: Wanted, sound: Audio, rate: int, thread: ThreadPoolExecutor) -> Take:
    loop = asyncio.get_running_loop()

    def blocking(call: Callable[[], T]) -> Awaitable[T]:
        return loop.run_in_executor(thread, call)

    clock = Clock()
    sink = SpeakerSink(clock)
    streams = Streams(
        await blocking(PortAudio), wanted, sink, clock, blocking, lambda _: None
    )  # a loss ends it
    microphone, loudspeaker = await blocking(streams.choose)
    way = f"from {label(loudspeaker)} to {label(microphone)}"
    typer.echo(f"playing {len(sound) / rate:.0f} s {way}: please be quiet")
    await streams.open()
    try:
        return await record(streams, sink, sound, rate)
    finally:
        await streams.close()
