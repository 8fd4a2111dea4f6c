"""`assistant talk` in a room without hardware: real PortAudio, a real sound server, real time."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import room as rooms
import soundfile
import soxr
from pages import ROOT
from remote_server import DONE, ROLE, RemoteServer, Step, chunk

from assistant.microphone.echo.aec import unsupported_reason

RATE = 48000
MAIN = "from assistant.cli import main; main()"
CLIP = ROOT / "traces" / "000.flac"
WORDS = "What is the capital of France?"
SPEECH_END_S = 52169 / 24000  # of the clip, by its label

_reason = rooms.unsupported_reason()
_aec = unsupported_reason()
needs_aec = pytest.mark.skipif(_aec is not None, reason=_aec or "")  # or it says that it is deaf
pytestmark = [pytest.mark.realtime, pytest.mark.skipif(_reason is not None, reason=_reason or "")]


@pytest.fixture
def room() -> Iterator[rooms.Room]:
    with rooms.room() as opened:
        yield opened


def noise(path: Path, seconds: float) -> Path:
    """A quiet room: a microphone that works is never digitally silent."""
    soundfile.write(path, np.random.default_rng(0).normal(0, 10 ** (-70 / 20), int(seconds * RATE)), RATE)
    return path


def spoken(path: Path) -> Path:
    """The clip as the sound server plays it."""
    clip, rate = soundfile.read(CLIP)
    soundfile.write(path, soxr.resample(clip, rate, RATE), RATE)
    return path


def started(room: rooms.Room, *words: str) -> subprocess.Popen[str]:
    """The assistant, begun in the room."""
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        env=room.environment,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.models
@needs_aec
def test_a_question_is_heard_and_answered_aloud(room: rooms.Room, tmp_path: Path) -> None:
    clip, result = spoken(tmp_path / "user.wav"), tmp_path / "talk.json"
    room.record(tmp_path / "speaker.wav")
    recording_s = time.monotonic()
    room.say(noise(tmp_path / "noise.wav", 120))
    with started(room, "talk", "--seconds", "12", "--json", str(result)) as program:
        assert program.stdout and program.stderr
        first = program.stdout.readline()
        room.say(clip)
        asked_s = time.monotonic() - recording_s + SPEECH_END_S
        printed, messages = program.communicate(timeout=120)
    room.close()
    assert program.returncode == 0 and messages == "", messages
    (turn,) = json.loads((tmp_path / "talk.json").read_text())["turns"]
    assert turn["transcript"] == WORDS and not turn["interrupted"] and turn["underruns"] == 0
    assert "Paris" in turn["heard"]
    you, assistant, wait = printed.splitlines()
    assert (first, you, assistant) == ("listening\n", f"you:       {WORDS}", f"assistant: {turn['heard']}")
    assert wait.strip().startswith(f"{turn['ttfa_ms']:.0f} ms: ")
    sound, rate = soundfile.read(tmp_path / "speaker.wav")
    loud_s = np.flatnonzero(np.abs(sound) > 10 ** (-50 / 20)) / rate
    assert loud_s[0] > asked_s - 0.5 and loud_s[-1] - loud_s[0] > 1.0  # the recorder took a moment to start
    level = np.sqrt(np.mean(sound[int(loud_s[0] * rate) : int(loud_s[-1] * rate)] ** 2))
    assert -35 < 20 * np.log10(level) < -10


LONG = (
    "Paris is the capital of France. It lies on the river Seine, in the north of the country. About two "
    "million people live in the city, and many more around it. Its best known building is the Eiffel Tower, "
    "which was built for a fair and was to be taken down again."
)
TALKED_S = 35


@pytest.fixture
def narrator() -> Iterator[RemoteServer]:
    server = RemoteServer.start()
    try:
        yield server
    finally:
        server.close()


def as_loud_as_a_reply(path: Path) -> Path:
    """The clip at the level that replies have, -20 dBFS."""
    clip, rate = soundfile.read(CLIP)
    clip *= 0.1 / np.sqrt(np.mean(clip[np.abs(clip) > 0.01] ** 2))
    soundfile.write(path, soxr.resample(clip, rate, RATE).clip(-1, 1), RATE)
    return path


@pytest.mark.models
@needs_aec
def test_a_long_reply_over_an_open_loudspeaker_does_not_interrupt_itself(
    room: rooms.Room, narrator: RemoteServer, tmp_path: Path
) -> None:
    narrator.play(*[Step((ROLE, chunk(LONG), chunk(None, "stop"), DONE))] * 4)
    config, result = tmp_path / "talk.toml", tmp_path / "talk.json"
    config.write_text(f'[llm.remote]\nurl = "http://127.0.0.1:{narrator.port}/v1"\nmodel = "narrator"\n')
    room.record(tmp_path / "speaker.wav")
    room.echo(100)
    room.say(noise(tmp_path / "noise.wav", 120))
    command = ["talk", "--seconds", str(TALKED_S), "--json", str(result), "--config", str(config)]
    with started(room, *command) as program:
        assert program.stdout
        assert program.stdout.readline() == "listening\n"
        room.say(as_loud_as_a_reply(tmp_path / "user.wav"))
        printed, messages = program.communicate(timeout=120)
    room.close()
    assert program.returncode == 0 and messages == "", messages
    (turn,) = json.loads(result.read_text())["turns"]
    assert turn["transcript"] == WORDS and turn["heard"] == LONG and not turn["interrupted"], printed
    sound, rate = soundfile.read(tmp_path / "speaker.wav")
    loud_s = np.flatnonzero(np.abs(sound) > 10 ** (-50 / 20)) / rate
    assert loud_s[-1] - loud_s[0] > 8 and np.diff(loud_s).max() < 1.0  # one piece, to its end
    assert len(printed.splitlines()) == 3, printed  # nothing about half duplex


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """A server on this machine, and where it listens."""
    command = [sys.executable, "-c", MAIN, "serve", "--port", "0", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield server.stdout.readline().removeprefix("listening on ").strip()
        finally:
            server.terminate()


@pytest.mark.models
@needs_aec
def test_a_server_answers_over_an_open_loudspeaker_until_the_user_interrupts(
    room: rooms.Room, narrator: RemoteServer, tmp_path: Path
) -> None:
    narrator.play(*[Step((ROLE, chunk(LONG), chunk(None, "stop"), DONE))] * 8)
    config, result = tmp_path / "serve.toml", tmp_path / "talk.json"
    config.write_text(f'[llm.remote]\nurl = "http://127.0.0.1:{narrator.port}/v1"\nmodel = "narrator"\n')
    clip = as_loud_as_a_reply(tmp_path / "user.wav")
    room.echo(100)
    room.say(noise(tmp_path / "noise.wav", 120))
    with (
        serving("--config", str(config)) as url,
        started(room, "talk", "--url", url, "--seconds", "20", "--json", str(result)) as program,
    ):
        assert program.stdout
        assert program.stdout.readline() == "listening\n"
        room.say(clip)
        time.sleep(9)  # of which the reply sounds for about five
        room.say(clip)
        printed, messages = program.communicate(timeout=120)
    room.close()
    assert program.returncode == 0 and messages == "", messages
    first, second = json.loads(result.read_text())["turns"]
    assert (first["transcript"], second["transcript"]) == (WORDS, WORDS), printed
    assert first["interrupted"] and LONG.startswith(first["heard"]) and len(first["heard"].split()) >= 6
    assert LONG.startswith(second["heard"]) and len(second["heard"].split()) >= 6, printed


def test_a_server_that_is_not_there_is_one_line_and_code_2(room: rooms.Room) -> None:
    with started(room, "talk", "--url", "ws://127.0.0.1:9/v1/realtime") as program:
        printed, messages = program.communicate(timeout=60)
    assert program.returncode == 2 and printed == ""
    assert messages.startswith("assistant: nobody listens at ws://127.0.0.1:9/v1/realtime (")
    assert len(messages.splitlines()) == 1


def test_devices_are_listed_by_name(room: rooms.Room) -> None:
    with started(room, "devices") as program:
        printed, messages = program.communicate(timeout=60)
    assert program.returncode == 0, messages
    microphones, speakers = printed.split("Loudspeakers")
    assert "  * default, ALSA  (" in microphones and "    mic, ALSA  (" in microphones
    assert "    speaker, ALSA  (" in speakers


WATCHED = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor
from assistant.microphone.devices.portaudio import PortAudio, native_messages_dropped
from assistant.microphone.devices.sink import SpeakerSink
from assistant.microphone.devices.streams import Streams, Wanted
from assistant.runtime import Clock

async def blocks(streams):
    while not (streams.playing and streams.playing.end and list(streams.recording.read())):
        await streams.woken.wait()
        streams.woken.clear()

async def main(thread):
    loop, clock = asyncio.get_running_loop(), Clock()
    blocking = lambda call: loop.run_in_executor(thread, call)
    tell = lambda line: print(line, flush=True)
    port, wanted, sink = await blocking(PortAudio), Wanted("mic", "speaker"), SpeakerSink(clock)
    streams = Streams(port, wanted, sink, clock, blocking, tell)
    await streams.open()
    watch = asyncio.create_task(streams.run())
    await blocks(streams)
    print("sounds", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)  # the server has crashed, and runs again
    while not streams.losses or streams.recording is None:
        await asyncio.sleep(0.05)
    await blocks(streams)
    print("sounds again", flush=True)
    watch.cancel()
    await streams.close()

with native_messages_dropped(), ThreadPoolExecutor(1) as thread:
    asyncio.run(main(thread))
"""


def test_a_server_that_crashes_is_found_again(room: rooms.Room) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WATCHED],
        env=room.environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        try:
            assert program.stdin and program.stdout and program.stderr
            assert program.stdout.readline() == "sounds\n", program.stderr.read()
            room.crash()
            assert program.stdout.readline().endswith("looking for the devices again\n")
            room.start()
            print(file=program.stdin, flush=True)
            rest = program.stdout.read().splitlines()
        finally:
            program.kill()
    assert rest[-2:] == ["going on with mic, ALSA and speaker, ALSA", "sounds again"]
