"""`assistant talk`: a conversation by microphone and loudspeaker, in the terminal."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import typer
from rich.console import Console

from assistant.commands.preflight import check_file
from assistant.commands.speech_options import SpeechOptions
from assistant.config import Config, read_config
from assistant.microphone.canceller import cancels
from assistant.microphone.errors import NoTerminal
from assistant.microphone.keys import has_keys, keys
from assistant.microphone.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.screen import Lines, Output, Screen, Status
from assistant.microphone.sink import SpeakerSink
from assistant.microphone.streams import Streams, Wanted
from assistant.microphone.talk import Talk, TalkOptions, turn_config
from assistant.microphone.view import View
from assistant.models.load import load_pool, locate
from assistant.models.pool import ModelPool
from assistant.models.store import ModelStore
from assistant.runtime import Clock
from assistant.session.session import SessionConfig
from assistant.trace.provenance import model_digests
from assistant.trace.replay import Replay
from assistant.trace.summary import ReportError, report, write_json

T = TypeVar("T")


@dataclass(frozen=True)
class TalkRequest:
    """The options of the command."""

    input: str | None
    output: str | None
    seconds: float | None
    json: Path | None
    push_to_talk: bool
    plain: bool
    config: Path | None
    speech: SpeechOptions = SpeechOptions()


def run_talk(request: TalkRequest) -> None:
    """Talk until the user quits; raises DeviceError and the typed errors of what cannot be read or loaded."""
    config = request.speech.over(read_config(request.config))
    check_file(request.json, ReportError)
    options = TalkOptions(request.seconds, request.push_to_talk, has_keys(sys.stdin))
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
        result = asyncio.run(_talk(config, wanted, options, output, thread))
    if request.json:
        write_json(request.json, report(result, model_digests(config)))


async def _talk(
    config: Config, wanted: Wanted, options: TalkOptions, output: Output, thread: ThreadPoolExecutor
) -> Replay:
    loop = asyncio.get_running_loop()

    def blocking(call: Callable[[], T]) -> Awaitable[T]:
        return loop.run_in_executor(thread, call)

    clock = Clock()
    sink = SpeakerSink(clock, config.tts.volume)
    streams = Streams(await blocking(PortAudio), wanted, sink, clock, blocking, output.say)
    await blocking(streams.choose)  # what is wrong with the devices is told before the models take their time
    loading = asyncio.create_task(asyncio.to_thread(_load, config, clock), name="load")
    try:
        await streams.open()
        pool = await loading
        try:
            return await _converse(config, pool, streams, sink, clock, output, options)
        finally:
            pool.close()
    finally:
        loading.cancel()
        await streams.close()


def _load(config: Config, clock: Clock) -> ModelPool:
    # The loudspeaker turns the volume down: so it can change in the middle of a word.
    config = replace(config, tts=replace(config.tts, volume=100))
    return load_pool(config, locate(config, ModelStore()), clock)


async def _converse(
    config: Config,
    pool: ModelPool,
    streams: Streams,
    sink: SpeakerSink,
    clock: Clock,
    output: Output,
    options: TalkOptions,
) -> Replay:
    turn = turn_config(config.turn, options, config.microphone.barge_in_ms, cancelling=cancels())
    stages = pool.open()
    try:
        settings = SessionConfig(config.llm.system_prompt, turn, config.asr)
        talk = Talk(stages, settings, streams, sink, clock, output, options)
        with _signals(talk.close):
            async with keys(sys.stdin, talk.press):
                return await talk.run()
    finally:
        await stages.close()


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
