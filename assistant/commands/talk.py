"""`assistant talk`: a conversation by microphone and loudspeaker, in the terminal."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from assistant.commands.preflight import check_file
from assistant.commands.speech_options import SpeechOptions
from assistant.config import Config, MicrophoneConfig, Wake
from assistant.microphone.devices.errors import NoTerminal, NoWakeWord
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.microphone.front_end import FrontEnd, TalkOptions
from assistant.microphone.keys import has_keys, keys
from assistant.microphone.micro_wake_word import open_wake_word
from assistant.microphone.screen import Lines, Output, Screen, Status
from assistant.microphone.view import View
from assistant.microphone.wake import WakeWord
from assistant.runtime import Clock
from assistant.trace.replay import Replay
from assistant.trace.summary import ReportError, report, write_json

T = TypeVar("T")
Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class TalkRequest:
    """The options of the command."""

    input: str | None
    output: str | None
    seconds: float | None
    json: Path | None
    push_to_talk: bool
    wake: Wake | None
    plain: bool
    speech: SpeechOptions = SpeechOptions()


@dataclass(frozen=True)
class Parts:
    """What a front end is made of."""

    streams: Streams
    sink: SpeakerSink
    clock: Clock
    output: Output
    options: TalkOptions


def talk(
    request: TalkRequest,
    config: Config,
    load: Callable[[Clock], Loaded],
    open_front_end: Callable[[Loaded, Parts], AbstractAsyncContextManager[FrontEnd]],
    models: Callable[[], Sequence[Mapping[str, str]]],
) -> None:
    """Talk until the user quits, to what `open_front_end` makes of what `load` gives; `models` are reported.

    Raises DeviceError and the typed errors of what cannot be read, loaded or reached.
    """
    check_file(request.json, ReportError)
    options = TalkOptions(
        request.seconds,
        request.push_to_talk,
        has_keys(sys.stdin),
        _wake_word(request, config.microphone),
        config.microphone.awake_s,
    )
    if options.push_to_talk and not options.keys:
        raise NoTerminal("--push-to-talk needs a terminal to press keys in")
    wanted = Wanted(
        request.input or config.microphone.input,
        request.output or config.microphone.output,
        config.microphone.latency_ms / 1000,
    )
    lines_only = request.plain or not sys.stdout.isatty()
    output: Output = Lines(typer.echo) if lines_only else Screen(Console())
    with native_messages_dropped(), ThreadPoolExecutor(1, "portaudio") as thread, output:
        output.draw(View(), Status())
        result = asyncio.run(_talk(wanted, config.tts.volume, options, output, thread, load, open_front_end))
    if request.json:
        write_json(request.json, report(result, models()))


def _wake_word(request: TalkRequest, config: MicrophoneConfig) -> WakeWord | None:
    """The detector that is wanted, if one is; raises NoWakeWord."""
    name = request.wake or config.wake
    if name == "off":
        return None
    if request.push_to_talk:
        raise NoWakeWord("--push-to-talk takes no wake word: add --wake off")
    return open_wake_word(name)


async def _talk(
    wanted: Wanted,
    volume: float,
    options: TalkOptions,
    output: Output,
    thread: ThreadPoolExecutor,
    load: Callable[[Clock], Loaded],
    open_front_end: Callable[[Loaded, Parts], AbstractAsyncContextManager[FrontEnd]],
) -> Replay:
    loop = asyncio.get_running_loop()

    def blocking(call: Callable[[], T]) -> Awaitable[T]:
        return loop.run_in_executor(thread, call)

    clock = Clock()
    sink = SpeakerSink(clock, volume)
    streams = Streams(await blocking(PortAudio), wanted, sink, clock, blocking, output.say)
    await blocking(streams.choose)  # what is wrong with the devices is told before the models take their time
    loading = asyncio.create_task(asyncio.to_thread(load, clock), name="load")
    try:
        await streams.open()
        parts = Parts(streams, sink, clock, output, options)
        async with open_front_end(await loading, parts) as front_end:
            with _signals(front_end.close):
                async with keys(sys.stdin, front_end.press):
                    return await front_end.run()
    finally:
        loading.cancel()
        await streams.close()


@contextmanager
def _signals(close: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the conversation as its key does."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGTERM, signal.SIGINT)
    with suppress(NotImplementedError):  # Windows: Ctrl-C interrupts the loop
        for number in wanted:
            loop.add_signal_handler(number, close)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in wanted:
                loop.remove_signal_handler(number)
